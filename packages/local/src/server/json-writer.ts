// Neutral values to JSON text, for answers and for the events of a subscription. Written by hand because an answer of PutRecords
// has 500 records and one of GetRecords 10,000: JSON.stringify with a replacer costs several times as much. What repeats from
// record to record, such as the time of arrival, is made once.
import { Rows, Timestamp, type WireObject, type WireValue } from './wire-format.ts';

/** Printable ASCII without quotes and backslashes: as it is in JSON as in a text. Names, numbers and most partition keys. */
const PLAIN = /^[ !#-[\]-~]*$/;

export function jsonText(value: WireValue): string {
  return new JsonWriter().text(value);
}

/** Writes a text as UTF-8; if it is ASCII, as nearly all of ours are, without encoding it. */
export function writeUtf8(text: string, bytes: Buffer, offset: number, byteCount: number): void {
  bytes.write(text, offset, byteCount, byteCount === text.length ? 'latin1' : 'utf8');
}

class JsonWriter {
  /** The memory of the last blob: those of many records lie in the same one. */
  #memory: Buffer = Buffer.alloc(0);
  #ms = Number.NaN;
  #msText = '';

  text(value: WireValue): string {
    switch (typeof value) {
      case 'string':
        return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value);
      case 'bigint':
        return `"${value}"`;
      case 'object':
        if (value === null) return 'null';
        if (value instanceof Uint8Array) return `"${this.#base64(value)}"`;
        if (value instanceof Timestamp) return this.#seconds(value);
        if (value instanceof Rows) return this.#rows(value);
        return Array.isArray(value) ? this.#list(value as readonly WireValue[]) : this.#object(value as WireObject);
      default:
        return String(value);
    }
  }

  #list(list: readonly WireValue[]): string {
    let text = '[';
    for (const [index, value] of list.entries()) text += `${index > 0 ? ',' : ''}${this.text(value)}`;
    return `${text}]`;
  }

  #object(object: WireObject): string {
    let text = '';
    for (const member in object) {
      const value = object[member];
      if (value !== undefined) text += `${text === '' ? '{' : ','}"${member}":${this.text(value)}`;
    }
    return text === '' ? '{}' : `${text}}`;
  }

  #rows(rows: Rows): string {
    const members = rows.members.map((member) => `"${member}":`);
    let text = '[';
    for (let row = 0; row < rows.length; row++) {
      if (row > 0) text += ',';
      let separator = '{';
      for (let column = 0; column < members.length; column++) {
        const value = rows.value(row, column);
        if (value === undefined) continue;
        text += separator + members[column] + this.text(value);
        separator = ',';
      }
      text += separator === '{' ? '{}' : '}';
    }
    return `${text}]`;
  }

  #seconds({ ms }: Timestamp): string {
    if (ms !== this.#ms) {
      this.#ms = ms;
      this.#msText = String(Math.floor(ms) / 1000);
    }
    return this.#msText;
  }

  #base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
    if (this.#memory.buffer !== buffer) this.#memory = Buffer.from(buffer);
    return this.#memory.toString('base64', byteOffset, byteOffset + byteLength);
  }
}
