// Node 20's collector, spared the marking of the whole heap for every few megabytes of records. What lies outside of V8's heap (the pieces of a
// socket, the data of long records) is freed by a scavenge, which comes when the young memory inside is used up; V8 11 marks all
// once some 24 MB have come outside since it last did. An answer of long records brings so much outside and so little inside that
// it is marked away, thirty times a second at the worst. Records of 50 kB, in µs of processor each, without and with young memory
// thrown away beside them: polled 117 and 123, then 34 to 49; pushed 117 and 195, then 78 to 94. Too much of it is as bad as none: what
// waits for its handler outlives two scavenges, and then only a marking frees it. Not from V8 12 on: there it gains nothing (12.4
// and 13.6 measured). Records of 1 kB bring enough young memory of their own.
const [major = '0'] = process.versions.v8.split('.');
const isNeeded = Number(major) < 12;

/** Of the records' data. From 0.2 to 0.5 all measured alike; polled, 0.1 took half as much again, and 0.67 twice as much. */
const SHARE = 0.4;
/** Of data on average. */
const LONG_BYTES = 4 * 1024;
const BYTES_OF_ELEMENT = 8;
/** Elements of one list: V8 gives one beyond 128 KiB pages of its own, and those are not young. */
const MOST_ELEMENTS = 8 * 1024;

/** Kept until the next one: what nobody keeps no compiler has to make. */
const kept: { waste: readonly unknown[] } = { waste: [] };

/** To be called once for each answer or event. @param bytes of all its records' data, outside of the heap. */
export function bringScavengeForward(bytes: number, records: number, needed: boolean = isNeeded): void {
  if (!needed || bytes < LONG_BYTES * records) return;
  for (let left = Math.ceil((bytes * SHARE) / BYTES_OF_ELEMENT); left > 0; left -= MOST_ELEMENTS)
    kept.waste = new Array(Math.min(left, MOST_ELEMENTS));
}
