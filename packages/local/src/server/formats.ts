// The formats the server speaks, by content type. A new one is one more entry.
import { cborFormat } from './cbor-format.ts';
import { jsonFormat } from './json-format.ts';
import type { WireFormat } from './wire-format.ts';

const formats: ReadonlyMap<string, WireFormat> = new Map(
  [jsonFormat, cborFormat].map((format) => [format.contentType, format]),
);
export const contentTypes: readonly string[] = [...formats.keys()];

/** The format of a request's content type; undefined when it is not one of ours. */
export function formatFor(contentType: string | undefined): WireFormat | undefined {
  return formats.get(contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '');
}
