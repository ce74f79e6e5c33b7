// Shards that Node workers hand off while they work on, as an operator says, under a Java leader. The API names no heir: whoever has the
// fewest leases gets a shard, Node workers first, unless it declines it; so the numbers are such that only one worker can be the heir. A Java
// leader knows nothing of single leases that are declined, and moves one only from a worker with more than its share, rounded up, to one with less.
import type { FleetView } from '@shardline/consumer';
import type { JavaProgram } from '../java/build.ts';
import type { WorkerProcess } from '../kcl/worker-process.ts';
import { Fleet, type Outcome, type Setting } from './fleet.ts';
import type { OperatorWord } from './node-worker.ts';

/** By worker. */
type Counts = Readonly<Record<string, number>>;

/** A Java worker renews and checkpoints a lease three times in two seconds; its leader assigns every two. */
const WRITES_OF_SOME_RUNS = 9;
/** Of two leases that it could give back a Java leader takes either. */
const MOST_TRIES = 12;

/** To a Node worker, to Java by way of what is declined, all of a worker; and what a Java leader makes of it where the numbers ask for nothing. */
export function handedOff(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 4, program }, async (fleet) => {
    const java = await fleet.startJava('java-1');
    await fleet.untilReadBy(java);
    await fleet.untilLeads(java);
    const node1 = await fleet.startNode('node-1');
    const node2 = await fleet.startNode('node-2');
    const node3 = await fleet.startNode('node-3');
    await untilHold(fleet, { 'java-1': 1, 'node-1': 1, 'node-2': 1, 'node-3': 1 });
    await fleet.untilReadBy(java, node1, node2, node3);
    // A Node worker inherits its lease; the leader has less than its share could be now.
    await node3.stop();
    await fleet.untilReadBy(java, node1, node2);
    const { 'node-1': of1 = 0, 'node-2': of2 = 0 } = countsOf(await fleet.seen());
    const [giver, taker] = of1 > of2 ? [node1, node2] : [node2, node1];

    // The Node worker comes before the Java one, which has no more.
    const [shard = ''] = await keysOf(fleet, giver);
    await handOff(fleet, giver, [shard], taker);
    await untilRead(fleet, shard, taker);
    await staysSo(fleet, java, { [java.workerId]: 1, [giver.workerId]: 1, [taker.workerId]: 2 });

    // On from there: who had it declines it, so the Java worker is the heir.
    await handOff(fleet, taker, [shard], java);
    await untilRead(fleet, shard, java);
    await staysSo(fleet, java, { [java.workerId]: 2, [giver.workerId]: 1, [taker.workerId]: 1 });
    for (const node of [giver, taker]) await demandDeclines(fleet, node, [shard]);

    // All of one: it says that it cannot measure its load, which a Java leader heeds, although it has all leases itself then.
    const last = await keysOf(fleet, giver);
    await handOff(fleet, giver, undefined, taker);
    for (const key of last) await untilRead(fleet, key, taker);
    await demandDeclines(fleet, giver, 'all');
    await taker.stop();
    await fleet.untilReadBy(java);
    await staysSo(fleet, java, { [java.workerId]: 4 });
    order(giver, { kind: 'accept' });
    await fleet.untilReads(giver, 2);

    // Single leases again. Who has them is killed: for a Java leader who declined them is the one with the fewest.
    const heir = await fleet.startNode('node-4');
    await fleet.untilReports(heir);
    const both = await keysOf(fleet, giver);
    fleet.demand(both.length === 2, `${giver.workerId} has two leases; it has ${both.join(', ')}`);
    await handOff(fleet, giver, both, heir);
    for (const key of both) await untilRead(fleet, key, heir);
    await staysSo(fleet, java, { [java.workerId]: 2, [heir.workerId]: 2 });
    await fleet.kill(heir);
    for (const key of both) await untilRead(fleet, key, giver);
    fleet.demand(
      giver.shardsOf('handedBack').sort().join() === [...both].sort().join(),
      `${giver.workerId} says of both that they have come back`,
    );
    await fleet.untilSeen('what came back is declined no longer', (view) => declinedBy(view, giver) === undefined);
    await fleet.untilLeads(java);
  });
}

/** A worker has one lease too many by a hand-off: a Java leader takes one of its two for who handed off, be it the same or not. */
export function handedBack(setting: Setting, name: string, program: JavaProgram): Promise<Outcome> {
  return Fleet.play(setting, name, { shardCount: 3, program }, async (fleet) => {
    const java = await fleet.startJava('java-1');
    await fleet.untilReadBy(java);
    await fleet.untilLeads(java);
    const node1 = await fleet.startNode('node-1');
    const node2 = await fleet.startNode('node-2');
    const even = { 'java-1': 1, 'node-1': 1, 'node-2': 1 };
    await untilHold(fleet, even);
    await fleet.untilReadBy(java, node1, node2);
    let tryCount = 0;
    while (node1.shardsOf('handedBack').length === 0 && tryCount < MOST_TRIES) {
      tryCount += 1;
      await handOff(fleet, node1, await keysOf(fleet, node1), node2);
      await untilHold(fleet, even);
      const [shard = ''] = await keysOf(fleet, node1);
      await untilRead(fleet, shard, node1);
    }
    fleet.demand(
      node1.shardsOf('handedBack').length === 1,
      `a Java leader gives one of ${tryCount} shards back that were handed off`,
    );
    await fleet.untilLeads(java);
  });
}

/** Until all that it is to give has another worker; that has to be this one. */
async function handOff(
  fleet: Fleet,
  from: WorkerProcess,
  leaseKeys: readonly string[] | undefined,
  to: WorkerProcess,
): Promise<void> {
  const answers = () => from.events.flatMap((event) => (event.event === 'handedOff' ? [event.shards] : []));
  const before = answers().length;
  const expected = leaseKeys ?? (await keysOf(fleet, from));
  order(from, { kind: 'handOff', leaseKeys });
  await fleet.until(`${from.workerId} has handed off`, () => answers().length > before);
  const told = (answers().at(-1) ?? []).map(({ leaseKey, outcome, to: heir }) => `${leaseKey} ${outcome} ${heir}`);
  const wanted = expected.map((key) => `${key} handedOff ${to.workerId}`);
  fleet.demand(
    wanted.length > 0 && told.sort().join() === wanted.sort().join(),
    `${from.workerId} says ${wanted.join(', ')}; it said ${told.join(', ')}`,
  );
}

function order(worker: WorkerProcess, word: OperatorWord): void {
  worker.order(word);
}

function untilRead(fleet: Fleet, shardId: string, worker: WorkerProcess): Promise<void> {
  return fleet.until(`${worker.workerId} reads ${shardId}`, () => fleet.readerOf(shardId) === worker);
}

function untilHold(fleet: Fleet, counts: Counts): Promise<void> {
  return fleet.untilSeen(`the leases are ${textOf(counts)}`, (view) => textOf(countsOf(view)) === textOf(counts));
}

/** No lease changes hands while the leader, which has one, writes it so often that it has assigned meanwhile. */
async function staysSo(fleet: Fleet, leader: WorkerProcess, counts: Counts): Promise<void> {
  await untilHold(fleet, counts);
  const before = await fleet.seen();
  const mine = before.leases.find(({ owner }) => owner === leader.workerId);
  const until = (mine?.leaseCounter ?? Number.NaN) + WRITES_OF_SOME_RUNS;
  const changes = new Set<string>();
  await fleet.untilSeen(`${leader.workerId} has led on`, (view) => {
    if (ownersOf(view) !== ownersOf(before)) changes.add(ownersOf(view));
    const now = view.leases.find(({ leaseKey }) => leaseKey === mine?.leaseKey);
    return changes.size > 0 || (now !== undefined && now.leaseCounter >= until);
  });
  fleet.demand(changes.size === 0, `the owners stay ${ownersOf(before)}; they became ${[...changes].join(', then ')}`);
}

async function demandDeclines(
  fleet: Fleet,
  worker: WorkerProcess,
  what: 'all' | readonly string[] | undefined,
): Promise<void> {
  const declined = declinedBy(await fleet.seen(), worker);
  fleet.demand(String(declined) === String(what), `${worker.workerId} declines ${what}; it declines ${declined}`);
}

function declinedBy({ workers }: FleetView, { workerId }: WorkerProcess): 'all' | readonly string[] | undefined {
  return workers.find((worker) => worker.workerId === workerId)?.declines;
}

async function keysOf(fleet: Fleet, { workerId }: WorkerProcess): Promise<string[]> {
  const { leases } = await fleet.seen();
  return leases.flatMap(({ leaseKey, owner }) => (owner === workerId ? [leaseKey] : []));
}

/** Of leases that are not on their way. */
function countsOf({ leases }: FleetView): Counts {
  const counts: Record<string, number> = {};
  for (const { owner = 'nobody', handingOffTo } of leases) {
    const who = handingOffTo === undefined ? owner : 'on their way';
    counts[who] = (counts[who] ?? 0) + 1;
  }
  return counts;
}

function ownersOf({ leases }: FleetView): string {
  return leases.map(({ leaseKey, owner, handingOffTo }) => `${leaseKey} ${owner} ${handingOffTo ?? ''}`).join();
}

function textOf(counts: Counts): string {
  return Object.keys(counts)
    .sort()
    .map((worker) => `${worker} ${counts[worker]}`)
    .join(', ');
}
