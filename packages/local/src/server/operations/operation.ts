// What every operation of the API is: a check of its input and a call of the model. An operation does no I/O; the shell
// parses, calls it, and writes the answer.
import type { KinesisModel, RefuseRecord, Subscription } from '../../model/index.ts';
import { type Caller, ownerOf, subjectOf } from '../caller.ts';
import { type Checked, checkInput, type Structure, structure } from '../input-check.ts';
import type { Models } from '../models.ts';
import type { WireFormat, WireObject } from '../wire-format.ts';

/** What a request comes with beside its input. */
export interface Arrival {
  /** Its name, as in X-Amz-Target. */
  readonly operation: string;
  readonly models: Models;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly caller: Caller;
  /** The faults of single records. */
  readonly refuseRecord?: RefuseRecord | undefined;
}

export interface Context {
  /** Of the account and region that the request is about. */
  readonly model: KinesisModel;
  readonly now: number;
  /** That account and region, whoever asks: what the ARNs of the answer show. */
  readonly caller: Caller;
  readonly refuseRecord: RefuseRecord | undefined;
}

export type Answer =
  | { readonly kind: 'members'; readonly members: WireObject }
  /** An empty body, as of operations that return nothing. */
  | { readonly kind: 'empty' }
  /** An event stream begins. */
  | { readonly kind: 'subscription'; readonly subscription: Subscription };

/** @throws KinesisError, WireError */
export type Operation = (input: unknown, format: WireFormat, arrival: Arrival) => Answer;

export type OperationTable = Readonly<Record<string, Operation>>;

export const empty: Answer = { kind: 'empty' };

export function members(value: WireObject): Answer {
  return { kind: 'members', members: value };
}

export function operation<S extends Structure>(
  input: S,
  run: (input: Checked<S>, context: Context) => Answer,
): Operation {
  const check = structure(input);
  return (given, format, { operation: name, models, now, caller, refuseRecord }) => {
    const checked = checkInput(check, given, format);
    const owner = ownerOf(checked, caller);
    const model = models.of(owner);
    model.callLimits?.admit(name, subjectOf(checked), now);
    return run(checked, { model, now, caller: owner, refuseRecord });
  };
}
