// Whether a Lambda function that returned no promise is finished. Lambda waits for its event loop to be empty then, which that of a worker never
// is: so a call counts as finished only where nothing can come of it any more. Whatever leaves a doubt does not.
import { createHook } from 'node:async_hooks';

type Call = (...given: never[]) => unknown;

/**
 * Whether neither the context nor the callback is in a function's reach, so that it cannot say anything once it has returned: by its text, which has at
 * most an event and a context that it makes no use of. A native or bound function has no text.
 */
export function canSayNothingLater(call: Call): boolean {
  const text = Function.prototype.toString.call(call);
  const [, alone, listed] =
    /^(?:([\w$]+)\s*=>|(?:function\b)?\s*[\w$]*\s*\(([\w$\s,]*)\)\s*(?:=>|\{))/.exec(text) ?? [];
  const list = alone ?? listed;
  if (list === undefined || /\b(?:arguments|eval)\b|\[native code\]/.test(text)) return false;
  const names = list.split(',').map((name) => name.trim());
  const [, context] = names;
  return names.length < 2 || (names.length === 2 && context !== undefined && occurrencesOf(context, text) === 1);
}

/** Calls it, and says whether it began anything that goes on: a promise, a timer, a request. What is due before anything else, as console.log makes it, is none. */
export function watched<T>(call: () => T): { readonly returned: T; readonly goesOn: boolean } {
  let goesOn = false;
  // They are made when they are first asked for, which is no work of the function's.
  void [process.stdout, process.stderr];
  const hook = createHook({
    init(_, type) {
      if (type !== 'TickObject') goesOn = true;
    },
  });
  hook.enable();
  try {
    const returned = call();
    return { returned, goesOn };
  } finally {
    hook.disable();
  }
}

function occurrencesOf(name: string, text: string): number {
  return text.split(/[^\w$]+/).filter((word) => word === name).length;
}
