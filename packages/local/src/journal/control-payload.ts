// The payloads that say how things stand: everything (a snapshot), one stream, a stream that is gone, an account. JSON, so that a person can
// read a data folder; sequence numbers and hash keys are bigints, written as `#123`, and a text that begins with # gets one more.
import type { AccountSettings, ModelState, StreamState } from '../model/index.ts';

/** The account and region of a model: `000000000000/us-east-1`. At most 255 characters of Latin-1. */
export type Place = string;

export interface SealedSegment {
  readonly number: number;
  readonly sizeBytes: number;
}

export interface Snapshot {
  readonly kind: 'snapshot';
  /** With which the iterators and tokens of this folder are sealed. */
  readonly tokenKey: string;
  /** The segments beside the one that the snapshot stands in, oldest first. Others are of no use any more. */
  readonly sealed: readonly SealedSegment[];
  readonly models: Readonly<Record<Place, ModelState>>;
}

export type Control =
  | Snapshot
  | { readonly kind: 'changed'; readonly place: Place; readonly stream: StreamState }
  | { readonly kind: 'removed'; readonly place: Place; readonly incarnation: number }
  | { readonly kind: 'account'; readonly place: Place; readonly settings: AccountSettings };

/** The first byte of such a payload. */
export const CONTROL_PAYLOAD = 1;

export function controlPayload(control: Control): Buffer {
  return Buffer.from(String.fromCharCode(CONTROL_PAYLOAD) + JSON.stringify(control, escaped));
}

/** @throws SyntaxError */
export function readControlPayload(payload: Buffer): Control {
  return JSON.parse(payload.toString('utf8', 1), unescaped) as Control;
}

function escaped(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `#${value}`;
  return typeof value === 'string' && value.startsWith('#') ? `#${value}` : value;
}

function unescaped(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('#')) return value;
  return value.startsWith('##') ? value.slice(1) : BigInt(value.slice(1));
}
