// The faces of a handler, made into the one that delivery calls: a function of a batch, an object of the KCL's words, an object that
// takes a record at a time. Checked when the consumer is run. Invariant: past this file there is one kind of handler.
import { describe, UsageError } from '@shardline/common';
import type { Handler, RecordHandler, ShardHandler } from '../handler.ts';
import { type HandlingOptions, type ResolvedHandling, readHandling } from './handling-options.ts';

/** A handler, and how it is to be called. */
export interface ReadHandler {
  readonly handler: ShardHandler;
  readonly handling: ResolvedHandling;
}

/** Letters. */
const MOST_SLIPS = 2;
const optionalWords = ['initialize', 'shardEnded', 'shutdownRequested', 'leaseLost'] as const;

/** @throws UsageError for something that is no handler, and naming the option. */
export function readHandler(
  given: Handler,
  options: HandlingOptions,
  checkpointing: 'auto' | 'manual',
  stallWarningMs: number = Number.POSITIVE_INFINITY,
): ReadHandler {
  if (typeof given === 'function') {
    if (isClass(given)) throw new UsageError('handler', 'an instance of a class', `the class ${given.name} itself`);
    const handling = readHandling(options, { checkpointing, stallWarningMs, eachRecord: false });
    return { handler: { processRecords: given }, handling };
  }
  const eachRecord = isRecordHandler(given);
  if (typeof given !== 'object' || given === null || (!eachRecord && typeof given.processRecords !== 'function')) {
    const expected = 'a function, or an object with a function processRecords or processRecord';
    throw new UsageError('handler', expected, describe(given));
  }
  if (eachRecord && 'processRecords' in given) {
    const expected = 'either processRecords or processRecord';
    throw new UsageError('handler', expected, 'an object with both');
  }
  for (const word of optionalWords) {
    if (given[word] !== undefined && typeof given[word] !== 'function')
      throw new UsageError(`handler.${word}`, 'a function', describe(given[word]));
  }
  refuseMisspelt(given);
  const handling = readHandling({ ...given.handling, ...options }, { checkpointing, stallWarningMs, eachRecord });
  return { handler: eachRecord ? byRecord(given) : given, handling };
}

/** Called without `new` it throws for ever. */
function isClass(given: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(given));
}

/** A word that is almost one that the object lacks would never be called. @throws UsageError naming it. */
function refuseMisspelt(given: object): void {
  for (let owner = given; owner !== Object.prototype && owner !== null; owner = Object.getPrototypeOf(owner)) {
    for (const name of Object.getOwnPropertyNames(owner)) {
      const meant = optionalWords.find((word) => !(word in given) && isAlmost(name, word));
      if (meant === undefined || typeof Reflect.get(given, name) !== 'function') continue;
      throw new UsageError(`handler.${name}`, 'a word of a handler', `an unknown one; did you mean ${meant}?`);
    }
  }
}

/** But for the case, an `on` in front, or a letter or two that are missing, more, others or changed over. */
function isAlmost(name: string, word: string): boolean {
  const plain = name.toLowerCase().replace(/^on/, '');
  const meant = word.toLowerCase();
  if (Math.abs(plain.length - meant.length) > MOST_SLIPS) return false;
  let distances = Array.from({ length: meant.length + 1 }, (_, index) => index);
  for (const [row, letter] of [...plain].entries()) {
    const next = [row + 1];
    for (const [column, other] of [...meant].entries()) {
      const replaced = (distances[column] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (distances[column + 1] as number) + 1, (next[column] as number) + 1));
    }
    distances = next;
  }
  return (distances.at(-1) as number) <= MOST_SLIPS;
}

function isRecordHandler(given: Handler): given is RecordHandler {
  return (
    typeof given === 'object' && given !== null && 'processRecord' in given && typeof given.processRecord === 'function'
  );
}

/** Its batches hold one record each. */
function byRecord(given: RecordHandler): ShardHandler {
  const processRecords: ShardHandler['processRecords'] = ({ records: [record] }, context) =>
    record && given.processRecord(record, context);
  const others = optionalWords.flatMap((word) => {
    const call = given[word] as ((...given: unknown[]) => unknown) | undefined;
    return call === undefined ? [] : [[word, call.bind(given)] as const];
  });
  return { processRecords, ...Object.fromEntries(others) };
}
