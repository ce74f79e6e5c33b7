// What a client is told about a wrong input, in AWS's words: broken constraints gathered into one ValidationException, of which
// AWS names ten at most, and a wrong type as a SerializationException, with the Java classes that AWS's own server meets.
import { serializationError, type WireError } from './wire-error.ts';
import { Timestamp, type WireFormat } from './wire-format.ts';

/** AWS names no more. */
const MAX_VIOLATIONS = 10;
/** Of a value in a message. */
const MAX_SHOWN_UNITS = 2048;

interface Violation {
  /** From the outermost member inwards. */
  readonly path: readonly string[];
  readonly value: string;
  readonly rule: string;
}

/** Constraints that do not hold, one at least. */
export class Violations extends Error {
  override readonly name = 'Violations';
  readonly found: readonly Violation[];

  constructor(found: readonly Violation[]) {
    super();
    this.found = found;
  }

  /** The message of the ValidationException. */
  describe(): string {
    const each = this.found.map(({ path, value, rule }) => {
      return `Value ${value} at '${path.join('.')}' failed to satisfy constraint: ${rule}`;
    });
    return `${each.length} validation error${each.length === 1 ? '' : 's'} detected: ${each.join('; ')}`;
  }
}

/** The rules that one value breaks; null is a value that is not there. */
export function violation(value: string | null, ...rules: readonly string[]): Violations {
  return new Violations(rules.map((rule) => ({ path: [], value: shown(value), rule })));
}

/** What was found before, and what `error` found inside the member `segment`. @throws any error but Violations, at once */
export function gathered(before: Violations | undefined, segment: string, error: unknown): Violations {
  if (!(error instanceof Violations)) throw error;
  const inside = error.found.map((one) => ({ ...one, path: [segment, ...one.path] }));
  return new Violations([...(before?.found ?? []), ...inside].slice(0, MAX_VIOLATIONS));
}

export type WireType = 'String' | 'Integer' | 'Boolean' | 'Blob' | 'Timestamp' | 'List' | 'Map' | 'Structure';

/** `format` is asked why a text is no blob. */
export function mistyped(value: unknown, type: WireType, format?: WireFormat): WireError {
  return serializationError(mistypedMessage(value, type, format));
}

function mistypedMessage(value: unknown, type: WireType, format: WireFormat | undefined): string {
  if (Array.isArray(value)) return 'Start of list found where not expected';
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !(value instanceof Timestamp)) {
    return 'Start of structure or map found where not expected.';
  }
  switch (type) {
    case 'List':
      return 'Expected list or null';
    case 'Map':
      return 'Expected map or null';
    case 'Structure':
      return 'Expected null';
    case 'Timestamp':
      return `${javaClassOf(value)} can not be converted to milliseconds since epoch`;
    case 'Blob':
      if (typeof value !== 'string' || format?.blobFault === undefined) {
        return `${javaClassOf(value)} can not be converted to a Blob`;
      }
      return `${shown(value)} can not be converted to a Blob: ${format.blobFault(value)}`;
    case 'Boolean':
      if (typeof value === 'string') return `${shown(value.toUpperCase())} can not be converted to an Boolean`;
      break;
    default:
  }
  return `${javaClassOf(value)} can not be converted to an ${type}`;
}

function javaClassOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return 'class java.lang.String';
    case 'boolean':
      return 'class java.lang.Boolean';
    case 'number':
      return 'class com.amazon.coral.value.json.numbers.TruncatingBigNumber';
    default:
      return value instanceof Uint8Array ? 'class java.nio.HeapByteBuffer' : 'class java.util.Date';
  }
}

function shown(value: string | null): string {
  if (value === null) return 'null';
  const start = value.slice(0, MAX_SHOWN_UNITS).toWellFormed();
  return value.length <= MAX_SHOWN_UNITS ? `'${start}'` : `'${start}…'`;
}
