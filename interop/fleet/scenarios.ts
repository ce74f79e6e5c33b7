// What a fleet of Java and Node workers goes through on one stream and one application's tables. Each scenario plays by itself on
// tables of its own, so that they can play side by side.

import type { JavaProgram } from '../java/build.ts';
import { type Casting, Fleet, type Outcome, type Setting } from './fleet.ts';
import { goldenRows } from './golden-rows.ts';
import { handedBack, handedOff } from './hand-offs.ts';
import { beside2x, upgradedByJava } from './kcl-2x.ts';

export interface Scenario {
  /** Also of its stream and its tables. */
  readonly name: string;
  /** What it proves. */
  readonly title: string;
  /** That it starts. */
  readonly programs: readonly JavaProgram[];
  /** Played by the tier of tests as well. */
  readonly inTier: boolean;
  readonly play: (setting: Setting, name: string) => Promise<Outcome>;
}

/** With one table, and the newest that has three. */
const KCL_35: JavaProgram = 'kcl';
const KCL_34: JavaProgram = 'kcl@3.4.2';
/** Whose workers take leases themselves. */
const KCL_26: JavaProgram = 'kcl@2.6.1';

export const scenarios: readonly Scenario[] = [
  {
    name: 'a-java-leads',
    title: 'a Java worker leads, Node workers join and replace each other: leases move in good order',
    programs: [KCL_35],
    inTier: true,
    play: (setting, name) => javaLeads(setting, name, KCL_35),
  },
  {
    name: 'a-java-leads-3.4',
    title: 'the same with the KCL 3.4, on its three tables',
    programs: [KCL_34],
    inTier: true,
    play: (setting, name) => javaLeads(setting, name, KCL_34),
  },
  {
    name: 'b-node-leads',
    title: 'a Node worker leads, a Java worker joins, and takes everything over when the Node worker leaves',
    programs: [KCL_35],
    inTier: false,
    play: (setting, name) => nodeLeads(setting, name, KCL_35),
  },
  {
    name: 'c-java-leader-killed',
    title:
      'kill -9 of a Node worker under a Java leader, then of that leader: a Node worker leads and takes its leases',
    programs: [KCL_35],
    inTier: true,
    play: (setting, name) => javaLeaderKilled(setting, name, KCL_35),
  },
  {
    name: 'c-node-leader-killed',
    title:
      'kill -9 of a Java worker under a Node leader, then of that leader: a Java worker leads and takes its leases',
    programs: [KCL_35],
    inTier: true,
    play: (setting, name) => nodeLeaderKilled(setting, name, KCL_35),
  },
  {
    name: 'c-killed-3.4',
    title: 'kill -9 of a leader of the KCL 3.4, then of the Node leader that followed it',
    programs: [KCL_34],
    inTier: true,
    play: (setting, name) => leadersKilled(setting, name, KCL_34),
  },
  {
    name: 'd-rolling',
    title: 'Java workers are replaced by Node workers and these by Java workers, with a split and a merge on the way',
    programs: [KCL_35],
    inTier: false,
    play: (setting, name) => rolling(setting, name, KCL_35),
  },
  {
    name: 'd-rolling-fan-out',
    title: 'the same by enhanced fan-out, all of them one registered consumer',
    programs: [KCL_35],
    inTier: false,
    play: (setting, name) => rolling(setting, name, KCL_35, 'FANOUT'),
  },
  {
    name: 'e-golden-rows',
    title: 'the rows that Java workers wrote are read, and written back with equal values',
    programs: [],
    inTier: true,
    play: (_, name) => goldenRows(name),
  },
  {
    name: 'f-beside-2.6',
    title:
      'Node workers join a worker of the KCL 2.6, survive it and are survived, go over to a leader, and back when one returns',
    programs: [KCL_26],
    inTier: false,
    play: (setting, name) => beside2x(setting, name, KCL_26),
  },
  {
    name: 'f-upgrade-3.5',
    title: 'a Node worker joins a Java fleet on its way from 2.x to 3.x, and both go over',
    programs: [KCL_35],
    inTier: false,
    play: (setting, name) => upgradedByJava(setting, name, KCL_35),
  },
  {
    name: 'g-handed-off',
    title:
      'Node workers hand shards off to each other and to Java under a Java leader; they stay away while the numbers let them',
    programs: [KCL_35],
    inTier: true,
    play: (setting, name) => handedOff(setting, name, KCL_35),
  },
  {
    name: 'g-handed-back',
    title: 'a Java leader evens out what a hand-off made uneven, and gives a shard back that was handed off',
    programs: [KCL_35],
    inTier: false,
    play: (setting, name) => handedBack(setting, name, KCL_35),
  },
];

function javaLeads(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 8, program }, async (fleet) => {
    const java = await fleet.startJava('java-1');
    await fleet.untilReadBy(java);
    await fleet.untilLeads(java);
    let node = await fleet.startNode('node-1');
    await fleet.untilReads(node, 2);
    // A deploy, worker by worker.
    for (const workerId of ['node-2', 'node-3']) {
      const next = await fleet.startNode(workerId);
      await fleet.untilReads(next, 1);
      await node.stop();
      await fleet.untilReadBy(java, next);
      node = next;
    }
    await fleet.untilLeads(java);
    const handedOver = new Set(java.shardsOf('shutdownRequested')).size;
    fleet.demand(handedOver >= 2, `java-1 hands two shards over in good order; it did ${handedOver}`);
  });
}

function nodeLeads(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 8, program }, async (fleet) => {
    const node = await fleet.startNode('node-1');
    await fleet.untilReadBy(node);
    await fleet.untilLeads(node);
    const java = await fleet.startJava('java-1');
    await fleet.untilReads(java, 3);
    const handedOver = new Set(node.shardsOf('shutdownRequested')).size;
    fleet.demand(handedOver >= 3, `node-1 hands three shards over in good order; it did ${handedOver}`);
    await node.stop();
    await fleet.untilReadBy(java);
    await fleet.untilLeads(java);
  });
}

function javaLeaderKilled(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 4, program }, async (fleet) => {
    const java = await fleet.startJava('java-1');
    await fleet.untilReadBy(java);
    await fleet.untilLeads(java);
    const victim = await fleet.startNode('node-1');
    await fleet.untilReads(victim, 1);
    await fleet.kill(victim);
    await fleet.untilReadBy(java);
    const node = await fleet.startNode('node-2');
    await fleet.untilReads(node, 1);
    await fleet.untilLeads(java);
    await fleet.kill(java);
    await fleet.untilReadBy(node);
    await fleet.untilLeads(node);
  });
}

function nodeLeaderKilled(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 4, program }, async (fleet) => {
    const node = await fleet.startNode('node-1');
    await fleet.untilReadBy(node);
    await fleet.untilLeads(node);
    const victim = await fleet.startJava('java-1');
    await fleet.untilReads(victim, 1);
    await fleet.kill(victim);
    await fleet.untilReadBy(node);
    const java = await fleet.startJava('java-2');
    await fleet.untilReads(java, 1);
    await fleet.untilLeads(node);
    await fleet.kill(node);
    await fleet.untilReadBy(java);
    await fleet.untilLeads(java);
  });
}

function leadersKilled(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 4, program }, async (fleet) => {
    const first = await fleet.startJava('java-1');
    await fleet.untilReadBy(first);
    await fleet.untilLeads(first);
    const node = await fleet.startNode('node-1');
    await fleet.untilReads(node, 1);
    await fleet.kill(first);
    await fleet.untilReadBy(node);
    await fleet.untilLeads(node);
    const second = await fleet.startJava('java-2');
    await fleet.untilReads(second, 1);
    await fleet.kill(node);
    await fleet.untilReadBy(second);
    await fleet.untilLeads(second);
  });
}

function rolling(
  setting: Setting,
  name: string,
  program: JavaProgram,
  mode: Casting['mode'] = 'POLLING',
): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 6, program, mode }, async (fleet) => {
    const java1 = await fleet.startJava('java-1');
    // Two that make the table together trip over each other.
    await fleet.untilReadBy(java1);
    const java2 = await fleet.startJava('java-2');
    await fleet.untilReads(java2, 1);

    const node1 = await fleet.startNode('node-1');
    await fleet.untilReads(node1, 1);
    await java1.stop();
    await fleet.untilReadBy(java2, node1);
    fleet.splitShard(0);
    const node2 = await fleet.startNode('node-2');
    await fleet.untilReads(node2, 1);
    await java2.stop();
    await fleet.untilReadBy(node1, node2);

    const java3 = await fleet.startJava('java-3');
    await fleet.untilReads(java3, 1);
    fleet.mergeShards(2, 3);
    await node1.stop();
    await fleet.untilReadBy(java3, node2);
    const java4 = await fleet.startJava('java-4');
    await fleet.untilReads(java4, 1);
    await node2.stop();
    await fleet.untilReadBy(java3, java4);
  });
}
