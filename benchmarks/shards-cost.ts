// What the processes of shards.ts are told, and what they print: one part of the bench, so that what is compared is computed once.

/** What a process is told. */
export interface Leg {
  readonly face: Face;
  readonly shards: number;
  readonly outstanding: number;
  readonly records: number;
  readonly size: number;
}

/** Who keeps the records. */
export type Face = 'callback' | 'promise' | 'floor';

/** What a process prints. */
export interface Cost {
  /** Of the processor, all threads, a user record. */
  readonly microsPerRecord: number;
  readonly microsPerKinesisRecord: number;
  readonly userRecordsPerKinesisRecord: number;
  readonly residentMB: number;
}

export function readLeg(): Leg {
  return JSON.parse(process.env['LEG'] ?? '{}') as Leg;
}

/** @param used for `records` user records, that left in so many Kinesis records. */
export function printCost({ user, system }: NodeJS.CpuUsage, records: number, kinesisRecordCount: number): void {
  const microsPerRecord = (user + system) / records;
  const userRecordsPerKinesisRecord = records / kinesisRecordCount;
  const cost: Cost = {
    microsPerRecord,
    microsPerKinesisRecord: microsPerRecord * userRecordsPerKinesisRecord,
    userRecordsPerKinesisRecord,
    residentMB: process.resourceUsage().maxRSS / 1024,
  };
  console.log(JSON.stringify(cost));
}
