// Carries out what strikes a request, around the same steps that serve any other: before it is applied, between that and the
// answer, and in the answer. Decides nothing; what the steps are is the request handler's.
import type { RefuseRecord } from '../../model/index.ts';
import type { HttpReply } from '../http-exchange.ts';
import type { Answer } from '../operations/operation.ts';
import { WireError } from '../wire-error.ts';
import { dropConnection } from './drop-connection.ts';
import type { Ending, Struck } from './fault-plan.ts';
import type { Holds } from './holds.ts';
import { spoiledReply } from './spoiled-reply.ts';

/** The steps of serving a request that was read and understood. */
export interface Serving {
  /** @throws what the request is refused with */
  readonly apply: (refuseRecord: RefuseRecord | undefined) => Answer;
  readonly answer: (reply: HttpReply, answer: Answer) => void;
  readonly refuse: (reply: HttpReply, error: unknown) => void;
}

export async function spoil(struck: Struck, holds: Holds, reply: HttpReply, serving: Serving): Promise<void> {
  const { beforeApplyMs, beforeAnswerMs, ending, refuseRecord } = struck;
  const spoiled = spoiledReply(reply, ending, holds);
  if (!(await holds.wait(beforeApplyMs))) return dropConnection(reply, 'session');
  if (ending?.kind === 'dropConnection') return dropConnection(reply, ending.by);
  if (ending?.kind === 'stall') return holds.keepSilent(spoiled);
  const say = outcomeOf(ending, refuseRecord, serving);
  if (!(await holds.wait(beforeAnswerMs))) return dropConnection(reply, 'session');
  say(spoiled);
}

/** Applies the request, unless it ends before that; what comes of it waits to be said. */
function outcomeOf(
  ending: Ending | undefined,
  refuseRecord: RefuseRecord | undefined,
  { apply, answer, refuse }: Serving,
): (reply: HttpReply) => void {
  try {
    if (ending?.kind === 'error') throw new WireError(ending.type, ending.message, ending.status);
    const applied = apply(refuseRecord);
    return (reply) => answer(reply, applied);
  } catch (error) {
    return (reply) => refuse(reply, error);
  }
}
