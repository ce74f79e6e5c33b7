// Which stream a put means: finds the stream's driver by what the put says, and makes it at first use. Between `put` and the driver. It
// holds no record and asks nothing; it hears from the drivers what a stream's ARN is.
//   A name means a stream of the client's own account, and so does an ARN of that account. Which account that is, the first answer to
//   a question about a stream by its name tells; from then on name and ARN lead to one driver. Before, they lead to two.
// Invariants: at most maxStreamCount drivers; a driver is forgotten only while it has no record; both forms of a stream whose identity
// is known lead to one driver, unless records from before still are on their way in the other.
import { parseStream, type StreamIdentifier, UsageError } from '@shardline/common';
import type { Failure } from './put.ts';

/** What is needed of a stream's driver. */
export interface Drives {
  readonly stream: StreamIdentifier;
  /** Records taken and not settled. */
  readonly outstandingCount: number;
  /** Of the record taken last; rises over all streams. */
  readonly lastSequence: number;
  /** Fails what has not settled. */
  abandon(failure: Failure): void;
  stop(): void;
}

export interface StreamsOptions<Driver> {
  /** For puts that name none: name or ARN. */
  readonly defaultStream: string | undefined;
  readonly maxStreamCount: number;
  readonly make: (stream: StreamIdentifier) => Driver;
  /** Told after a driver was stopped and forgotten. */
  readonly onForgotten: (driver: Driver) => void;
}

/** Whose names are meant: the client's. */
interface Home {
  readonly accountId: string;
  readonly region: string;
}

export class Streams<Driver extends Drives> {
  readonly #options: StreamsOptions<Driver>;
  /** By identity: the name for a stream of the client's own account as soon as that is known, else what was given. */
  readonly #drivers = new Map<string, Driver>();
  /** By what puts say. */
  readonly #byWord = new Map<string, Driver>();
  /** Those of streams that have another driver too, with that other one. */
  readonly #twins = new Map<Driver, Driver>();
  #region: string | undefined;
  #home: Home | undefined;
  /** Why no stream can be reached. */
  #noRegion: Failure | undefined;

  constructor(options: StreamsOptions<Driver>) {
    this.#options = options;
  }

  /**
   * The driver of a stream, or why there can't be one now.
   * @throws UsageError naming `stream`, for one that is no name and no ARN, or an ARN of another region.
   */
  driverOf(stream: string | undefined): Driver | Failure {
    const word = stream ?? this.#options.defaultStream;
    if (word === undefined) {
      throw new UsageError('stream', 'a name or an ARN with each record, since the producer was given none', 'none');
    }
    const known = this.#byWord.get(word);
    if (known !== undefined && (this.#twins.size === 0 || !this.#isOver(known))) return known;
    const identifier = parseStream(word);
    this.#checkRegion(identifier);
    if (this.#noRegion !== undefined) return this.#noRegion;
    const driver = this.#drivers.get(this.#identityOf(identifier)) ?? this.#make(identifier);
    if (driver === undefined) return tooMany(this.#options.maxStreamCount);
    this.#byWord.set(word, driver);
    return driver;
  }

  /** All that there are. */
  all(): Driver[] {
    return [...this.#drivers.values()];
  }

  /** Those of one stream: none before its first put, two while name and ARN are not known to be one. @throws UsageError naming `stream`. */
  of(stream: string): Driver[] {
    const identity = this.#identityOf(parseStream(stream));
    return this.all().filter((driver) => this.#identityOf(driver.stream) === identity);
  }

  /** The client's region has become known: what is in another one can't be reached. */
  regionIs(region: string): void {
    this.#region = region;
    for (const driver of this.all()) {
      const { streamArn, region: other } = driver.stream;
      if (other === undefined || other === region) continue;
      driver.abandon({
        code: 'REQUEST_FAILED',
        message: `${streamArn} is in ${other}, the producer's client in ${region}: use a producer for each region`,
        retryable: false,
      });
      this.#forget(driver);
    }
  }

  /** The client has none, for good: nothing can be reached, and nothing is tried until its time is over. */
  hasNoRegion(message: string): void {
    this.#noRegion = { code: 'REQUEST_FAILED', message, retryable: false };
    for (const driver of this.all()) {
      driver.abandon(this.#noRegion);
      this.#forget(driver);
    }
  }

  /** A stream given by its name says what its ARN is: so that account is the client's own. */
  arnIs(stream: StreamIdentifier, streamArn: string): void {
    if (this.#home !== undefined || stream.streamArn !== undefined) return;
    const { accountId, region } = parseStream(streamArn);
    if (accountId === undefined || region === undefined) return;
    this.#home = { accountId, region };
    for (const [word, driver] of [...this.#drivers]) {
      const identity = this.#identityOf(driver.stream);
      if (identity === word) continue;
      const twin = this.#drivers.get(identity);
      if (twin !== undefined) {
        this.#twins.set(driver, twin);
        continue;
      }
      this.#drivers.delete(word);
      this.#drivers.set(identity, driver);
    }
  }

  #identityOf({ streamName, streamArn = streamName, accountId, region }: StreamIdentifier): string {
    const isHome = accountId === this.#home?.accountId && region === this.#home?.region;
    return isHome ? streamName : streamArn;
  }

  /** Whether a driver has a twin and no record any more: then the twin goes on alone. */
  #isOver(driver: Driver): boolean {
    if (!this.#twins.has(driver) || driver.outstandingCount > 0) return false;
    this.#forget(driver);
    return true;
  }

  #checkRegion({ streamArn, region }: StreamIdentifier): void {
    if (region === undefined || this.#region === undefined || region === this.#region) return;
    throw new UsageError('stream', `a stream in ${this.#region}, the region of the producer's client`, `${streamArn}`);
  }

  #make(stream: StreamIdentifier): Driver | undefined {
    if (this.#drivers.size >= this.#options.maxStreamCount && !this.#forgetIdle()) return undefined;
    const driver = this.#options.make(stream);
    this.#drivers.set(this.#identityOf(stream), driver);
    return driver;
  }

  /** Makes room: of those that have no record, the one that was put to longest ago. */
  #forgetIdle(): boolean {
    let idle: Driver | undefined;
    for (const driver of this.#drivers.values()) {
      if (driver.outstandingCount > 0) continue;
      if (idle === undefined || driver.lastSequence < idle.lastSequence) idle = driver;
    }
    if (idle === undefined) return false;
    this.#forget(idle);
    return true;
  }

  #forget(driver: Driver): void {
    driver.stop();
    this.#twins.delete(driver);
    for (const [other, twin] of this.#twins) if (twin === driver) this.#twins.delete(other);
    for (const [identity, each] of this.#drivers) if (each === driver) this.#drivers.delete(identity);
    for (const [word, each] of this.#byWord) if (each === driver) this.#byWord.delete(word);
    this.#options.onForgotten(driver);
  }
}

function tooMany(maxStreamCount: number): Failure {
  const message = `maxStreamCount, ${maxStreamCount}, is reached, and each of these streams has records outstanding: put again when one has none, or allow more`;
  return { code: 'BUFFER_FULL', message, retryable: true };
}
