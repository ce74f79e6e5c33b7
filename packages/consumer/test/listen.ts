// What a consumer under test says: a logger that keeps every line, of its children too.
import type { Logger } from '@shardline/common';

export interface Line {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly text: string;
}

export interface Listening {
  readonly logger: Logger;
  readonly lines: readonly Line[];
  /** The texts of these levels, in the order they were said. */
  texts(...levels: Line['level'][]): string[];
}

export function listen(): Listening {
  const lines: Line[] = [];
  const at =
    (level: Line['level']) =>
    (fields: object, text = ''): void =>
      void lines.push({ level, fields: fields as Line['fields'], text });
  const levels = { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const logger: Logger = { ...levels, child: () => logger };
  const texts = (...wanted: Line['level'][]): string[] =>
    lines.filter(({ level }) => wanted.includes(level)).map(({ text }) => text);
  return { logger, lines, texts };
}
