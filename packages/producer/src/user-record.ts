// A user record, from the application's put to the settling of its promise. Here it is checked, copied and given its hash
// key; after that only the stages of the pipeline touch it. What is wrong with it is said at the call, as a UsageError.
// Invariants: the bytes are the producer's own copy; `sequence` rises with every put, and is what "put order" means; a record
// settles exactly once (`settled`).
import {
  checkPartitionKey,
  describe,
  type HashKey,
  hashBytesOf,
  hashHexOf,
  isShardlineError,
  type MemoryLender,
  NO_PLACE,
  NODES_MEMORY,
  type OperatingCode,
  OperatingError,
  parseHashKey,
  toHashKey,
  topOfHashBytes,
  topOfHashKey,
  UsageError,
  type UserRecordParts,
  type WritableRecord,
} from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import type { OrderKey } from './order.ts';

/** What the application puts. */
export interface UserRecordInput {
  /** Name or ARN. Default: the producer's `stream`. */
  readonly stream?: string;
  /**
   * 1 to 256 UTF-16 units, well-formed (API_PutRecord; the KPL counts so too). May be left out on a stream whose record
   * distribution strategy is AUTO.
   */
  readonly partitionKey?: string;
  /** Bytes, or text that is sent as UTF-8. May be empty. Copied by put. */
  readonly data: Uint8Array | string;
  /** Overrides the hash of the partition key, which it needs: 0 to 2^128 − 1, as a bigint or as decimal text. */
  readonly explicitHashKey?: bigint | string;
}

/** One try to deliver a user record (KPL Attempt). */
export interface Attempt {
  /** From the put, or from the end of the attempt before, to the start of this one. */
  readonly delayMs: number;
  /** From the start of the request to its answer. */
  readonly durationMs: number;
  /** Absent when it succeeded: Kinesis's own code, the network's, or one of the KPL's words `Wrong Shard`, `Expired`. */
  readonly errorCode?: string;
  readonly errorMessage?: string;
  /** Whether this attempt put the record into the stream. `unknown`: the request left and no answer came. */
  readonly written: 'yes' | 'no' | 'unknown';
}

/** Where a user record is in the stream. */
export interface PutResult {
  readonly shardId: string;
  /** Of the Kinesis record; all user records of one aggregated record share it. */
  readonly sequenceNumber: string;
  /** The place inside the aggregated record, from 0; absent when the user record travelled alone. */
  readonly subSequenceNumber?: number;
  /** Every attempt, the last one being the one that succeeded. */
  readonly attempts: readonly Attempt[];
  /** An earlier attempt put it, or may have put it, into the stream too. */
  readonly duplicate: boolean;
}

/** Why a put failed. `code` and `retryable` as in OperatingError. */
export interface PutError extends OperatingError {
  /** Name or ARN of the stream, as the put or the producer named it. */
  readonly stream: string;
  /** The record, ready to be put again. Not enumerable, so that no logger writes it out. */
  readonly userRecord: UserRecordInput;
  /** Every attempt that was made. */
  readonly attempts: readonly Attempt[];
  /** True when the record is in the stream or may be, although the put failed. */
  readonly mayBeWritten: boolean;
}

/** What the pipeline says about records that failed; `putError` makes the error of each. */
export interface Failure {
  readonly code: OperatingCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly cause?: unknown;
}

export const noAttempts: readonly Attempt[] = [];
/** Nobody is told. */
export const unheard: Settle = { onSuccess: () => undefined, onFailure: () => undefined };

/** Where an outcome is told: to a listener, or by a function that faces.ts knows how to call. */
export type Settle = Listener | ((end: never) => void);

export interface Listener {
  readonly onSuccess: (result: PutResult) => void;
  readonly onFailure: (error: PutError) => void;
}

/** Called once, with one of the two. */
export type OnSettled = (error: PutError | undefined, result: PutResult | undefined) => void;

/** When a user record was put, and what follows from it; one for all that are put at the same time. */
export interface Times {
  readonly putAtMs: number;
  /** When it should leave, in company or not. */
  readonly dueAtMs: number;
  /** From then on no attempt begins. */
  readonly expiresAtMs: number;
}

const UNKNOWN_TIMES: Times = { putAtMs: 0, dueAtMs: 0, expiresAtMs: 0 };

/** What there is to know of a user record when it has arrived. */
export interface DeliveredRecord {
  readonly hasKey: boolean;
  readonly partitionKey: string;
  readonly sequence: number;
  readonly dataBytes: number;
  readonly sizeBytes: number;
  readonly putAtMs: number;
  readonly settle: Settle;
  /** Those that failed. */
  readonly attempts: readonly Attempt[];
  readonly lastEndMs: number;
  readonly mayBeWritten: boolean;
  /** The application has been told of it. */
  letGo(): void;
}

/** Those of a Kinesis record, in its order. What `at` gives holds until the next is asked for. */
export interface DeliveredRecords {
  readonly length: number;
  at(index: number): DeliveredRecord | undefined;
}

export class UserRecord implements UserRecordParts, WritableRecord, OrderKey, DeliveredRecord {
  /** Empty when the application gave none: such a record is never aggregated, and only an AUTO stream takes it. */
  readonly partitionKey: string;
  readonly explicitHashKey?: HashKey;
  /** Length of its data. */
  readonly dataBytes: number;
  /** Size as the producer's bounds and Kinesis count it: data and partition key. */
  readonly sizeBytes: number;

  sequence = 0;
  #times: Times = UNKNOWN_TIMES;
  settle: Settle = unheard;
  /** As the put named it; undefined: the producer's own. */
  stream: string | undefined = undefined;

  /** The Kinesis record it is in; undefined while it is held back for order. */
  carrier: KinesisRecord | undefined = undefined;
  /** In there, if it is packed: of its key. */
  keyPlace: number = NO_PLACE;
  settled = false;
  /** Its Kinesis record has it in another form: this object is nobody's any more. */
  #isPacked = false;
  #isHashed = false;
  #keyHash = 0;
  #keyHash2 = 0;
  /** The application's, bytes of its own, or the aggregated record that it is in. */
  #source: Uint8Array | string | undefined;
  /** Where in there it begins. */
  #at = 0;
  /** The copy, in memory that may be given back. */
  #lent: Buffer | undefined = undefined;
  /** The application may do with its bytes what it likes. */
  isCopied = false;
  /** The attempts that failed; other records may have the same list. */
  attempts: readonly Attempt[] = noAttempts;
  lastEndMs = -1;
  mayBeWritten = false;
  /** What the last failed request threw. */
  lastCause: unknown = undefined;

  constructor(
    partitionKey: string,
    explicitHashKey: HashKey | undefined,
    data: Uint8Array | string,
    dataBytes: number,
    keyBytes: number,
  ) {
    this.partitionKey = partitionKey;
    this.#source = data;
    this.dataBytes = dataBytes;
    this.sizeBytes = dataBytes + keyBytes;
    if (explicitHashKey !== undefined) this.explicitHashKey = explicitHashKey;
  }

  get times(): Times {
    return this.#times;
  }

  get putAtMs(): number {
    return this.#times.putAtMs;
  }

  get dueAtMs(): number {
    return this.#times.dueAtMs;
  }

  get expiresAtMs(): number {
    return this.#times.expiresAtMs;
  }

  /** It is not to wait for company any more. */
  hasten(nowMs: number): void {
    if (nowMs < this.#times.dueAtMs) this.#times = { ...this.#times, dueAtMs: nowMs };
  }

  /** Nobody has to watch it any more. */
  get isOver(): boolean {
    return this.settled || this.#isPacked;
  }

  /** Its data as it was given, or the copy. */
  get content(): Uint8Array | string {
    const source = this.#source ?? '';
    if (typeof source === 'string' || source.length === this.dataBytes) return source;
    return source.subarray(this.#at, this.#at + this.dataBytes);
  }

  /** Its data, as bytes that stay. */
  get data(): Uint8Array {
    this.keepData();
    return this.content as Uint8Array;
  }

  /** The application may use its bytes again: unless there is a copy, here is one, in memory of `lender`'s, which is to get it back, or Node's. */
  keepData(lender?: MemoryLender): void {
    const given = this.#source;
    if (this.isCopied || given === undefined) return;
    const copy = (lender ?? NODES_MEMORY).take(this.dataBytes);
    if (typeof given === 'string') copy.write(given, 'utf8');
    else copy.set(given);
    this.#source = copy;
    if (lender !== undefined) this.#lent = copy;
    this.isCopied = true;
  }

  /** Nobody has kept its data: `lender` gets back what `keepData` took of it. */
  giveBackData(lender: MemoryLender): void {
    if (this.#lent !== undefined) lender.giveBack(this.#lent);
    this.dropData();
  }

  /** Nobody will ask for its data again. */
  dropData(): void {
    this.#source = undefined;
    this.#lent = undefined;
    this.#at = 0;
    this.isCopied = true;
  }

  /** The application has been told of it: a queue that still has it keeps nothing of the application's. */
  letGo(): void {
    this.dropData();
    this.settle = unheard;
  }

  /** Its Kinesis record has taken over all that it was; `lender` gets back what `keepData` took of it. */
  packedAway(lender: MemoryLender): void {
    this.#isPacked = true;
    this.giveBackData(lender);
    this.settle = unheard;
  }

  /** Writes its data, which is there from now on. */
  writeData(target: Buffer, at: number): void {
    const { content } = this;
    if (typeof content !== 'string') target.set(content, at);
    // Of a text that is as long as its bytes each unit is one.
    else target.write(content, at, content.length === this.dataBytes ? 'latin1' : 'utf8');
    this.#source = target;
    this.#lent = undefined;
    this.#at = at;
    this.isCopied = true;
  }

  /** The upper 32 bits of the hash key, as a number that sorts as hash keys do: nearly always enough, and cheap. */
  get hashTop(): number {
    return this.explicitHashKey === undefined ? this.keyHash : topOfHashKey(this.explicitHashKey);
  }

  /** The hash key as 32 lower-case hex digits: compares as the number does. Empty without a partition key. */
  get hashHex(): string {
    if (this.explicitHashKey !== undefined) return this.explicitHashKey.toString(16).padStart(32, '0');
    return this.hasKey ? hashHexOf(this.partitionKey) : '';
  }

  /** Length of its partition key. */
  get keyBytes(): number {
    return this.sizeBytes - this.dataBytes;
  }

  /** The upper 32 bits of the partition key's own hash. Computed when it is wanted first: a stream that is AUTO asks for none. */
  get keyHash(): number {
    if (!this.#isHashed) this.#hash();
    return this.#keyHash;
  }

  /**
   * Tells order keys apart, together with `orderHash2`. Partition key and explicit hash key together are one: a partition key that is
   * spread over several hash keys on purpose is several lines of order.
   */
  get orderHash(): number {
    const { explicitHashKey, keyHash } = this;
    return explicitHashKey === undefined ? keyHash : mixed(keyHash, explicitHashKey, 0x9e37_79b1);
  }

  get orderHash2(): number {
    if (!this.#isHashed) this.#hash();
    const { explicitHashKey } = this;
    return explicitHashKey === undefined ? this.#keyHash2 : mixed(this.#keyHash2, explicitHashKey, 0x85eb_ca6b);
  }

  #hash(): void {
    const bytes = hashBytesOf(this.partitionKey);
    this.#keyHash = topOfHashBytes(bytes);
    this.#keyHash2 = bytes.getInt32(4);
    this.#isHashed = true;
  }

  get hasKey(): boolean {
    return this.partitionKey !== '';
  }

  /** The producer takes it: from here its times count. */
  admit(sequence: number, times: Times): void {
    this.sequence = sequence;
    this.#times = times;
  }
}

/** `bufferedTimeMs` is how long a record may wait for company. */
export function timesOf(
  nowMs: number,
  { bufferedTimeMs, recordTtlMs }: { readonly bufferedTimeMs: number; readonly recordTtlMs: number },
): Times {
  return { putAtMs: nowMs, dueAtMs: nowMs + bufferedTimeMs, expiresAtMs: nowMs + recordTtlMs };
}

/**
 * Checks what the application put; it is copied on its way, at the latest when the put returns. The size is that of data and partition key together, as Kinesis counts it
 * (the KPL counts the data alone, and Kinesis then refuses the whole request).
 * @throws UsageError naming `partitionKey`, `explicitHashKey` or `data`.
 */
export function checkUserRecord(input: UserRecordInput, maxUserRecordSizeBytes: number): UserRecord {
  if (typeof input !== 'object' || input === null) {
    throw new UsageError('record', 'an object with partitionKey and data', describe(input));
  }
  for (const name in input) if (misspelt.has(name)) refuseName(name);
  const { partitionKey = '' } = input;
  const keyBytes = input.partitionKey === undefined ? 0 : checkPartitionKey(partitionKey);
  const explicitHashKey = readHashKey(input.explicitHashKey);
  if (partitionKey === '' && explicitHashKey !== undefined) {
    throw new UsageError('partitionKey', 'one beside explicitHashKey', 'none');
  }
  const dataBytes = bytesOf(input.data);
  checkSize(dataBytes + keyBytes, maxUserRecordSizeBytes);
  return new UserRecord(partitionKey, explicitHashKey, input.data, dataBytes, keyBytes);
}

/** The record's content, as the application may put it again. */
export function inputOf(record: UserRecord): UserRecordInput {
  const { stream, hasKey, partitionKey, data, explicitHashKey } = record;
  return {
    data,
    ...(hasKey ? { partitionKey } : {}),
    ...(explicitHashKey === undefined ? {} : { explicitHashKey }),
    ...(stream === undefined ? {} : { stream }),
  };
}

/**
 * Notes an attempt that did not settle the records, which went together. Those that have gone together from the beginning share what is
 * noted: with something for each, a hundred thousand records that are refused for half a minute would need more memory for it than for
 * their data.
 */
export function noteAttempt(
  records: readonly UserRecord[],
  beganAtMs: number,
  endedAtMs: number,
  outcome: { readonly errorCode: string; readonly errorMessage: string; readonly written: Attempt['written'] },
): void {
  const lists = new AttemptLists(beganAtMs, { durationMs: endedAtMs - beganAtMs, ...outcome });
  for (const record of records) {
    record.attempts = lists.of(record);
    record.lastEndMs = endedAtMs;
    if (outcome.written !== 'no') record.mayBeWritten = true;
  }
}

/** Members that are none of ours, by which one is meant that may be left out: as the SDK or the KPL calls it. Others are the application's own affair. */
const misspelt: ReadonlyMap<string, keyof UserRecordInput> = new Map([
  ...nameless('stream', ['Stream', 'streamName', 'StreamName', 'streamARN', 'StreamARN', 'streamArn', 'StreamArn']),
  ...nameless('partitionKey', ['PartitionKey', 'partitionkey', 'partition_key']),
  ...nameless('explicitHashKey', ['ExplicitHashKey', 'explicitHashkey', 'explicithashkey', 'explicit_hash_key']),
]);

function nameless(name: keyof UserRecordInput, others: readonly string[]): [string, keyof UserRecordInput][] {
  return others.map((other) => [other, name]);
}

function refuseName(name: string): never {
  throw new UsageError(name, 'no such member of a record', `it; did you mean ${misspelt.get(name)}?`);
}

/** What the attempts of a record are told from. */
type Waited = Pick<DeliveredRecord, 'attempts' | 'lastEndMs' | 'putAtMs' | 'mayBeWritten'>;

/** The attempts of records that were in one request, that one included: those with the same past share a list. */
class AttemptLists {
  readonly #beganAtMs: number;
  readonly #attempt: Omit<Attempt, 'delayMs'>;
  /** The last record's: its attempts before, how long it waited, and its attempts now. */
  #before: readonly Attempt[] | undefined = undefined;
  #delayMs = 0;
  #attempts = noAttempts;

  constructor(beganAtMs: number, attempt: Omit<Attempt, 'delayMs'>) {
    this.#beganAtMs = beganAtMs;
    this.#attempt = attempt;
  }

  of(record: Waited): readonly Attempt[] {
    const delayMs = this.#beganAtMs - startOfDelay(record);
    if (record.attempts !== this.#before || delayMs !== this.#delayMs) {
      this.#before = record.attempts;
      this.#delayMs = delayMs;
      this.#attempts = [...record.attempts, { delayMs, ...this.#attempt }];
    }
    return this.#attempts;
  }
}

/** When and where the request was answered that put a record into the stream. */
interface Arrival {
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly beganAtMs: number;
  readonly endedAtMs: number;
}

/** Makes the results of records that were written together: what befell them alike is said once. */
export class PutResults {
  readonly #arrival: Arrival;
  readonly #lists: AttemptLists;

  constructor(arrival: Arrival) {
    this.#arrival = arrival;
    const { beganAtMs, endedAtMs } = arrival;
    this.#lists = new AttemptLists(beganAtMs, { durationMs: endedAtMs - beganAtMs, written: 'yes' });
  }

  of(record: Waited, subSequenceNumber: number | undefined): PutResult {
    const { shardId, sequenceNumber } = this.#arrival;
    const attempts = this.#lists.of(record);
    const duplicate = record.mayBeWritten;
    return subSequenceNumber === undefined
      ? { shardId, sequenceNumber, attempts, duplicate }
      : { shardId, sequenceNumber, subSequenceNumber, attempts, duplicate };
  }
}

/** The error of a put that failed, with the record in hand. */
export function putError(
  failure: Failure,
  stream: string,
  userRecord: UserRecordInput,
  attempts: readonly Attempt[] = noAttempts,
  mayBeWritten = false,
): PutError {
  const { code, message, retryable, cause } = failure;
  const error = new OperatingError(code, message, { retryable, cause });
  // Not enumerable: a logger that serializes errors must not write out the application's data.
  Object.defineProperty(error, 'userRecord', { value: userRecord, enumerable: false });
  return Object.assign(error as OperatingError & Pick<PutError, 'userRecord'>, { stream, attempts, mayBeWritten });
}

/** Whether an error came from a put, and so holds its record. */
export function isPutError(error: unknown): error is PutError {
  return isShardlineError(error) && 'userRecord' in error && 'mayBeWritten' in error;
}

/** The 32 bits together with the hash key's, such that whole numbers, which applications choose, spread. `factor`: odd. */
function mixed(bits: number, hashKey: HashKey, factor: number): number {
  let result = bits;
  for (let rest: bigint = hashKey, words = 0; words < 4; words++, rest >>= 32n) {
    result = Math.imul(result ^ Number(BigInt.asIntN(32, rest)), factor);
    result ^= result >>> 15;
  }
  return result;
}

function startOfDelay({ lastEndMs, putAtMs }: Waited): number {
  return lastEndMs === -1 ? putAtMs : lastEndMs;
}

function readHashKey(given: bigint | string | undefined): HashKey | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'bigint') return toHashKey(given, 'explicitHashKey');
  if (typeof given === 'string') return parseHashKey(given);
  throw new UsageError('explicitHashKey', 'a bigint or decimal text, from 0 to 2^128 - 1', describe(given));
}

/** Text with a lone surrogate has no UTF-8 form: it would arrive as other text, so it is refused. */
function bytesOf(data: Uint8Array | string): number {
  if (typeof data === 'string') {
    const bytes = Buffer.byteLength(data);
    if (bytes !== data.length && !data.isWellFormed()) {
      throw new UsageError('data', 'bytes or well-formed text', 'text with a lone surrogate');
    }
    return bytes;
  }
  if (data instanceof Uint8Array || isOfAnotherRealm(data)) return data.length;
  throw new UsageError('data', 'a Uint8Array or a string', describe(data));
}

/** A vm's, as a test runner's: no instance of this realm's class. */
function isOfAnotherRealm(data: unknown): data is Uint8Array {
  return ArrayBuffer.isView(data) && Reflect.get(data, Symbol.toStringTag) === 'Uint8Array';
}

function checkSize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  const expected = `data and partition key of at most maxUserRecordSizeBytes, ${maxBytes} bytes`;
  throw new UsageError('data', expected, `${sizeBytes} bytes`);
}
