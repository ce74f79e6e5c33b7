// Server-side encryption of a stream, as a client sees it: which key it names, and which records say KMS. Nothing is encrypted, and
// no key is looked up. Which records were put while it was on is noted shard by shard, at the changes alone: a record says
// nothing about it itself.
import { KinesisError } from './errors.ts';

/** Plain data. */
export interface Encryption {
  /** As it was given; null is EncryptionType NONE. */
  readonly keyId: string | null;
  /** When a key that the stream did not have was applied, ms since 1970; those of the last 24 hours count. */
  readonly appliedMs: readonly number[];
  /** When it was stopped, likewise. */
  readonly stoppedMs: readonly number[];
}

export const NOT_ENCRYPTED: Encryption = { keyId: null, appliedMs: [], stoppedMs: [] };

/** From the record `counter` on, a shard's records are encrypted, or are not. Before the first mark they are not. */
export interface EncryptionMark {
  readonly counter: number;
  readonly encrypted: boolean;
}

/** "25 times in a rolling 24-hour period", of starting and of stopping (API_StartStreamEncryption, API_StopStreamEncryption). */
export const MAX_ENCRYPTION_CHANGES_PER_DAY = 25;

const DAY_MS = 24 * 3_600_000;
const GUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
/** A key's GUID, that of a multi-Region key, the ARN of a key or an alias, an alias (API_StartStreamEncryption, KeyId). */
const KEY_ID = new RegExp(
  `^(?:${GUID}|mrk-[0-9a-f]{32}|arn:aws[a-z-]*:kms:[a-z0-9-]+:\\d{12}:(?:key|alias)/[\\w/-]+|alias/[\\w/-]+)$`,
  'i',
);

/** @throws KinesisError InvalidArgumentException for what names no key */
export function checkKeyId(keyId: string): void {
  if (KEY_ID.test(keyId)) return;
  throw new KinesisError(
    'InvalidArgumentException',
    `KeyId ${keyId} is neither a key's GUID, nor the ARN of a key or an alias, nor an alias that begins with alias/.`,
  );
}

/**
 * With another key, or none (null). What it has already is no change, and the same object is returned.
 * @throws KinesisError LimitExceededException at the 26th change in 24 hours, if `limited`
 */
export function withKey(encryption: Encryption, keyId: string | null, limited: boolean, now: number): Encryption {
  if (keyId === encryption.keyId) return encryption;
  const kind = keyId === null ? 'stoppedMs' : 'appliedMs';
  const timesMs = [...encryption[kind].filter((atMs) => atMs > now - DAY_MS), now];
  if (limited && timesMs.length > MAX_ENCRYPTION_CHANGES_PER_DAY) {
    const what = keyId === null ? 'be stopped' : 'be given a new key';
    throw new KinesisError(
      'LimitExceededException',
      `Encryption may ${what} ${MAX_ENCRYPTION_CHANGES_PER_DAY} times in a rolling 24-hour period.`,
    );
  }
  return { ...encryption, keyId, [kind]: timesMs };
}

/** The marks when from `counter` on it is so; those that are about no record from `firstCounter` on are left out. */
export function marked(
  marks: readonly EncryptionMark[],
  encrypted: boolean,
  counter: number,
  firstCounter: number,
): readonly EncryptionMark[] {
  const all = [...marks, { counter, encrypted }];
  return all.filter((_, index) => (all[index + 1]?.counter ?? Number.POSITIVE_INFINITY) > firstCounter);
}

export function isEncryptedAt(marks: readonly EncryptionMark[], counter: number): boolean {
  return marks.findLast((mark) => mark.counter <= counter)?.encrypted ?? false;
}
