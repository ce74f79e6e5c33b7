// The faces of a handler, made into the one that delivery calls: a function of a batch, an object of the KCL's words, an object that
// takes a record at a time, a factory that makes one of these for each tenure. What `run` is given is checked then, what a factory makes
// when it has made it. Invariant: past this file there is one kind of handler.
import { describe, meantName, UsageError } from '@shardline/common';
import type { Handler, HandlerFactory, RecordHandler, ShardContext, ShardHandler } from '../handler.ts';
import { HandlerThrew } from '../runtime/handler-threw.ts';
import { type HandlingOptions, type HandlingSetting, type ResolvedHandling, readHandling } from './handling-options.ts';

/** The handler of a tenure, and how it is to be called. */
export interface TenureHandler {
  readonly handler: ShardHandler;
  readonly handling: ResolvedHandling;
}

/** What `run` was given. */
export interface ReadHandler {
  /** Of every tenure, but for the size of a batch. */
  readonly handling: ResolvedHandling;
  /** Called when a tenure begins. @throws HandlerThrew what a factory throws, or a UsageError for what it has made. */
  readonly forTenure: (context: ShardContext) => TenureHandler;
}

type OneHandler = Exclude<Handler, HandlerFactory>;

/** A handler of one kind. */
interface Face {
  readonly handler: ShardHandler;
  readonly eachRecord: boolean;
}

/** What handling is held against. */
type Setting = Omit<HandlingSetting, 'eachRecord'>;

const faceWords = ['processRecords', 'processRecord', 'createHandler'] as const;
const optionalWords = ['initialize', 'shardEnded', 'shutdownRequested', 'leaseLost'] as const;
const A_FACE = 'a function, or an object with a function processRecords or processRecord';

/** @throws UsageError for something that is no handler, and naming the option. */
export function readHandler(
  given: Handler,
  options: HandlingOptions,
  checkpointing: 'auto' | 'manual',
  stallWarningMs: number = Number.POSITIVE_INFINITY,
  consumerOptionNames: readonly string[] = [],
): ReadHandler {
  const setting = { checkpointing, stallWarningMs, consumerOptionNames };
  refuseNoOptions('handling', options);
  if (typeof given === 'object' && given !== null) refuseNoOptions('handler.handling', given.handling);
  if (typeof given === 'object' && given !== null && 'createHandler' in given)
    return readFactory(given, { ...given.handling, ...options }, setting);
  const { handler, eachRecord } = readFace(given, 'handler', `${A_FACE} or createHandler`);
  const own = typeof given === 'object' ? given.handling : {};
  const handling = readHandling({ ...own, ...options }, { ...setting, eachRecord });
  const ofAll = { handler, handling };
  return { handling, forTenure: () => ofAll };
}

function readFactory(factory: HandlerFactory, options: HandlingOptions, setting: Setting): ReadHandler {
  if (typeof factory.createHandler !== 'function')
    throw new UsageError('handler.createHandler', 'a function', describe(factory.createHandler));
  for (const word of ['processRecords', 'processRecord', ...optionalWords]) {
    if (!(word in factory)) continue;
    throw new UsageError(`handler.${word}`, 'to be a word of what createHandler returns', 'it beside createHandler');
  }
  const handling = readHandling(options, { ...setting, eachRecord: false });
  let ofRecords: ResolvedHandling | undefined;
  const make = (context: ShardContext): TenureHandler => {
    const { handler, eachRecord } = readMade(factory.createHandler(context));
    if (!eachRecord) return { handler, handling };
    ofRecords ??= readHandling(options, { ...setting, eachRecord });
    return { handler, handling: ofRecords };
  };
  return {
    handling,
    forTenure: (context) => {
      try {
        return make(context);
      } catch (error) {
        throw new HandlerThrew('createHandler', error);
      }
    },
  };
}

/** @throws UsageError for what is no handler. */
function readMade(made: OneHandler): Face {
  const field = 'createHandler()';
  if (made instanceof Promise) {
    // Nobody waits for it any more.
    made.catch(() => undefined);
    throw new UsageError(field, `${A_FACE}, at once: what takes its time belongs into initialize`, 'a promise');
  }
  const face = readFace(made, field, A_FACE);
  if (typeof made === 'object' && made.handling !== undefined)
    throw new UsageError(`${field}.handling`, 'none: handling stands beside createHandler', describe(made.handling));
  return face;
}

/** Spread, what is no object would be no options at all. */
function refuseNoOptions(field: string, given: unknown): void {
  if (given === undefined || (typeof given === 'object' && given !== null)) return;
  throw new UsageError(field, 'an object like { maxRetryAttempts: 3 }', describe(given));
}

/** @param field what names it in an error. @throws UsageError for something that is no handler. */
function readFace(given: OneHandler, field: string, expected: string): Face {
  if (typeof given === 'function') {
    if (isClass(given))
      throw new UsageError(
        field,
        'an instance of a class',
        `${given.name === '' ? 'a class' : `the class ${given.name}`} itself`,
      );
    return { handler: { processRecords: given }, eachRecord: false };
  }
  const eachRecord = isRecordHandler(given);
  if (typeof given !== 'object' || given === null) throw new UsageError(field, expected, describe(given));
  if (!eachRecord && typeof given.processRecords !== 'function') {
    refuseMisspelt(given, field, faceWords);
    throw new UsageError(field, expected, describe(given));
  }
  if (eachRecord && 'processRecords' in given)
    throw new UsageError(field, 'either processRecords or processRecord', 'an object with both');
  for (const word of optionalWords) {
    if (given[word] !== undefined && typeof given[word] !== 'function')
      throw new UsageError(`${field}.${word}`, 'a function', describe(given[word]));
  }
  refuseMisspelt(given, field, optionalWords);
  return { handler: eachRecord ? byRecord(given) : given, eachRecord };
}

/** Called without `new` it throws for ever. */
function isClass(given: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(given));
}

/** A word that is almost one that the object lacks would never be called. @throws UsageError naming it. */
function refuseMisspelt(given: object, field: string, words: readonly string[]): void {
  const lacking = words.filter((word) => !(word in given));
  for (let owner = given; owner !== Object.prototype && owner !== null; owner = Object.getPrototypeOf(owner)) {
    for (const name of Object.getOwnPropertyNames(owner)) {
      const meant = meantName(name, lacking);
      if (meant === undefined || typeof Reflect.get(given, name) !== 'function') continue;
      throw new UsageError(`${field}.${name}`, 'a word of a handler', `an unknown one; did you mean ${meant}?`);
    }
  }
}

function isRecordHandler(given: OneHandler): given is RecordHandler {
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
