// A batch in lanes that are handled side by side: all records of a partition key are in one lane, in their order. Pure.
// Invariant: the lanes together hold each record of the batch once, each lane in the batch's order.

/** A lane holds indexes into the batch. No lane is empty; there are `concurrency` at most, and no more than keys. */
export function lanesOf(
  records: readonly { readonly partitionKey: string }[],
  concurrency: number,
): readonly (readonly number[])[] {
  const byKey = new Map<string, number[]>();
  for (const [index, { partitionKey }] of records.entries()) {
    const ofKey = byKey.get(partitionKey);
    if (ofKey === undefined) byKey.set(partitionKey, [index]);
    else ofKey.push(index);
  }
  // The keys with the most records first, each to the shortest lane: as even as it gets without splitting a key.
  const keys = [...byKey.values()].sort((a, b) => b.length - a.length);
  const lanes: number[][] = Array.from({ length: Math.min(concurrency, keys.length) }, () => []);
  for (const indexes of keys) {
    const shortest = lanes.reduce((least, lane) => (lane.length < least.length ? lane : least));
    for (const index of indexes) shortest.push(index);
  }
  return lanes.map((lane) => lane.sort((a, b) => a - b));
}
