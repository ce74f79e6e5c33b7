// Fleets whose workers take leases themselves: beside workers of the KCL 2.x, and beside Java workers of 3.x that are still
// compatible with these.
import type { JavaProgram } from '../java/build.ts';
import { Fleet, type Outcome, type Setting } from './fleet.ts';

/** How long a Node fleet must be ready before it goes over; the KCL's ten minutes are for people. */
const environment = { FLIP_MS: '5000' };
/** A Java worker looks at the fleet's client version every 60 s, the first time up to 30 s later. */
const JAVA_FOLLOWS_MS = 180_000;

/** The old fleet's table is joined, taken over, and still good for the old fleet. */
export function beside2x(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 4, program, environment }, async (fleet) => {
    const java1 = await fleet.startJava('java-1');
    await fleet.untilReadBy(java1);
    const victim = await fleet.startNode('node-1');
    await fleet.untilReads(victim, 2);
    await fleet.untilSpeaks('UPGRADE_FROM_2X');
    await fleet.kill(victim);
    await fleet.untilReadBy(java1);

    const node = await fleet.startNode('node-2');
    await fleet.untilReads(node, 2);
    await fleet.untilSpeaks('UPGRADE_FROM_2X');
    await fleet.kill(java1);
    await fleet.untilReadBy(node);
    await fleet.untilSpeaks('3X_WITH_ROLLBACK');
    await fleet.untilLeads(node);

    // The round trip: it finds a table that it knows, and takes its share.
    const java2 = await fleet.startJava('java-2');
    await fleet.untilReads(java2, 2);
    await fleet.untilSpeaks('2X');
    await fleet.untilReadBy(node, java2);
    await java2.stop();
    await fleet.untilReadBy(node);
  });
}

/** A Java worker of 3.x that is compatible with 2.x takes leases until the fleet is ready, whoever finds that it is. */
export function upgradedByJava(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  const compatible = { ...environment, CLIENT_VERSION_CONFIG: 'CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X' };
  return Fleet.play(setting, name, { shardCount: 4, program, environment: compatible }, async (fleet) => {
    const java = await fleet.startJava('java-1');
    await fleet.untilReadBy(java);
    await fleet.untilSpeaks('UPGRADE_FROM_2X');
    const node = await fleet.startNode('node-1');
    await fleet.untilReads(node, 2);
    await fleet.untilSpeaks('3X_WITH_ROLLBACK');
    await fleet.untilLeads(node);
    // A second one is given leases by the leader. Only a Java worker that has gone over hands them to it in good order.
    const second = await fleet.startNode('node-2');
    await fleet.untilReads(second, 1);
    await node.stop();
    await second.stop();
    await fleet.untilLeads(java, JAVA_FOLLOWS_MS);
    await fleet.untilReadBy(java);
  });
}
