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

const optionalWords = ['initialize', 'shardEnded', 'shutdownRequested', 'leaseLost'] as const;

/** @throws UsageError for something that is no handler, and naming the option. */
export function readHandler(
  given: Handler,
  options: HandlingOptions,
  checkpointing: 'auto' | 'manual',
  stallWarningMs: number = Number.POSITIVE_INFINITY,
): ReadHandler {
  if (typeof given === 'function') {
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
  const handling = readHandling({ ...given.handling, ...options }, { checkpointing, stallWarningMs, eachRecord });
  return { handler: eachRecord ? byRecord(given) : given, handling };
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
