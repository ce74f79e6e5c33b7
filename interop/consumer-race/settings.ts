// What a contender of the consumers' race is told, and what it says in the end: one line of JSON in its environment, one on its
// standard output. KclRace.java reads and writes the same.

export type Mode = 'polling' | 'fanout';

export interface Settings {
  readonly mode: Mode;
  readonly application: string;
  /** Each is heard of before latencies count. */
  readonly shards: number;
  /** User records that are handled before it is measured: what it takes to find the shards, and to compile the way of a record. */
  readonly warmUpRecords: number;
  /** User records that are measured. */
  readonly records: number;
  /** It is measured for so long at the most, and warmed up. */
  readonly longestSeconds: number;
  /** User records in a Kinesis record, for who does not take it apart. */
  readonly userRecordCount: number;
  /**
   * So many records are timed from their put to the handler, and nothing else is measured: their data is the time of the put, as text, in
   * nanoseconds of the system's monotonic clock, which all processes share. 0: none.
   */
  readonly latencyCount: number;
}

export interface Outcome {
  /** That were measured, of which the last batch may hold more than was asked for. */
  readonly records: number;
  /** Of their data. */
  readonly bytes: number;
  readonly seconds: number;
  /** User and system time of all threads. */
  readonly cpuSeconds: number;
  /** In the end. */
  readonly residentBytes: number;
  /** Since the start of the process. */
  readonly peakResidentBytes: number;
  readonly latencyMs: readonly number[];
}
