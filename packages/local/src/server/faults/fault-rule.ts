// A rule of faults on demand: which requests it is about, how often it strikes, and what then happens to them. Plain data, and
// the same data in TypeScript, over the admin endpoint and after `--fault`, so a rule can be tried in one and kept in another.

/** An amount, or a range [from, to] out of which one is drawn each time. Whole numbers, both ends included. */
export type Amount = number | readonly [from: number, to: number];

/** What breaks: the HTTP/2 stream of the request alone, or its whole connection. Over HTTP/1.1 both are the connection. */
export type Breakage = 'stream' | 'session';

/** Which requests, and how many of them. All that is given must hold; a rule without any of it is about every request. */
export interface FaultScope {
  /** One or more names of the API, such as `PutRecords`. */
  readonly operation?: string | readonly string[];
  /** 12 digits. */
  readonly accountId?: string;
  /** Such as `us-east-1`. */
  readonly region?: string;
  /** The stream's name. */
  readonly stream?: string;
  /** Requests that read, change or write to this shard; a PutRecords when one of its records goes there. */
  readonly shardId?: string;
  /** Of those, each is struck with this probability: 0 to 1, default 1. */
  readonly probability?: number;
  /** Strikes at most so often. Default: no bound. */
  readonly count?: number;
  /** Leaves the first ones alone. Default 0. */
  readonly after?: number;
  /** Begins so long after it was added, by the server's clock, ms. Default 0. */
  readonly fromMs?: number;
  /** Ends so long after it was added, by the server's clock, ms. Default: never. */
  readonly untilMs?: number;
}

/** What happens to a request that is struck. */
export type Fault =
  /**
   * What AWS says to one call too many: ProvisionedThroughputExceededException from the operations on records,
   * LimitExceededException from the others. `perRecord`: PutRecords refuses records one by one, each considered by itself,
   * and takes the others; default true when the rule names a shard, which then throttles its own records alone, else false.
   */
  | { readonly kind: 'throttle'; readonly perRecord?: boolean }
  /**
   * Any error, before anything is applied. The status is AWS's for the type (500 for InternalFailure, 503 for
   * ServiceUnavailable, else 400) unless given. `perRecord`: records of PutRecords, of which AWS says InternalFailure alone.
   */
  | {
      readonly kind: 'error';
      readonly type: string;
      readonly status?: number;
      readonly message?: string;
      readonly perRecord?: boolean;
    }
  /** The connection breaks before anything is applied. Default `session`. */
  | { readonly kind: 'dropConnection'; readonly by?: Breakage }
  /** It is applied, but the client never hears of it: the connection breaks (default `session`), or there is silence. */
  | { readonly kind: 'loseAnswer'; readonly by?: Breakage | 'silence' }
  /** It takes its time, by the server's clock: up to 10 minutes each. A late request is applied even if its client has gone. */
  | { readonly kind: 'delay'; readonly beforeApplyMs?: Amount; readonly beforeAnswerMs?: Amount }
  /** It is applied, half of the answer's body comes, then the connection breaks (default `session`). Not for SubscribeToShard. */
  | { readonly kind: 'truncateAnswer'; readonly by?: Breakage }
  /** Nothing is applied, and no answer comes, until the client gives up. */
  | { readonly kind: 'stall' }
  /**
   * The connection of a subscription breaks (default `session`) after so many events, or after so many bytes of the event
   * stream, also in the midst of an event. Events with no records count too. Default: before the first event.
   */
  | { readonly kind: 'cutEvents'; readonly by?: Breakage; readonly afterEvents?: Amount; readonly afterBytes?: Amount }
  /** The same, but nothing breaks: no more bytes come, and what the subscription would have brought is gone. */
  | { readonly kind: 'stallEvents'; readonly afterEvents?: Amount; readonly afterBytes?: Amount }
  /** An exception in the event stream, such as InternalFailureException or KMSThrottlingException, and its end. */
  | { readonly kind: 'failEvents'; readonly type: string; readonly message?: string; readonly afterEvents?: Amount }
  /** The event stream ends, as after its 5 minutes. */
  | { readonly kind: 'endEvents'; readonly afterEvents?: Amount }
  /** The next event has a wrong checksum. */
  | { readonly kind: 'corruptEvents'; readonly afterEvents?: Amount };

export type FaultKind = Fault['kind'];
export type FaultRule = FaultScope & Fault;

/** A rule with what has become of it. */
export interface FaultReport {
  /** In this server, for its life. */
  readonly id: string;
  readonly rule: FaultRule;
  /** Requests (with `perRecord`, records) that it was about. */
  readonly considered: number;
  /** Of those, how many were struck. */
  readonly applied: number;
}

/** The longest of each delay. */
export const MAX_DELAY_MS = 600_000;

/** AWS's status for an error. */
export function statusOf(type: string): number {
  if (type === 'ServiceUnavailable' || type === 'ServiceUnavailableException') return 503;
  return type.startsWith('Internal') ? 500 : 400;
}

/** What AWS says with some errors, where a rule does not say it. */
export function messageOf(type: string): string {
  return messages.get(type) ?? 'A fault on demand.';
}

const messages: ReadonlyMap<string, string> = new Map([
  ['ExpiredTokenException', 'The security token included in the request is expired'],
  ['InternalFailure', 'Internal Service Failure'],
  ['InternalFailureException', 'Internal Service Failure'],
  ['KMSThrottlingException', 'The request was denied due to request throttling.'],
  ['ServiceUnavailable', 'The request has failed due to a temporary failure of the server.'],
  ['ServiceUnavailableException', 'The request has failed due to a temporary failure of the server.'],
  ['UnrecognizedClientException', 'The security token included in the request is invalid.'],
]);
