// Node 20's collector, spared the marking of the whole heap for every few megabytes of records. What lies outside of V8's heap (the pieces of a
// socket, the data of long records) is freed by a scavenge, which comes when the young memory inside is used up; V8 11 marks all
// once some 24 MB have come outside since it last did. Long records bring nearly as much as that between two scavenges, so that it
// was a matter of chance whether they were marked away, thirty times a second, or hardly at all: at 50 kB 71 to 186 µs of processor
// a record, 73 to 108 with half as much again of young memory. Not from V8 12 on: there it gains nothing (12.4 and 13.6 measured).
const [major = '0'] = process.versions.v8.split('.');
const isNeeded = Number(major) < 12;

/** Of the text that data of long records pass through, which is young as well. */
const SHARE = 0.5;
const BYTES_OF_ELEMENT = 8;

/** Kept until the next one: what nobody keeps no compiler has to make. */
const kept: { waste: readonly unknown[] } = { waste: [] };

/** @param youngBytes that were just made beside memory outside of the heap; at most 128 KiB, for larger ones are not young. */
export function bringScavengeForward(youngBytes: number, needed: boolean = isNeeded): void {
  if (needed) kept.waste = new Array(Math.ceil((youngBytes * SHARE) / BYTES_OF_ELEMENT));
}
