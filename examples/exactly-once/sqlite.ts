// SQLite as Node >= 22.13 has it built in, as far as the example uses it. The types that this repository is checked with are those of
// the oldest Node that it supports, which do not have it.
interface Statement {
  run(...values: readonly (string | number)[]): { readonly changes: number };
  get(...values: readonly (string | number)[]): unknown;
}

export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export async function openDatabase(path: string): Promise<Database> {
  const name = 'node:sqlite';
  const { DatabaseSync } = (await import(name)) as { DatabaseSync: new (path: string) => Database };
  return new DatabaseSync(path);
}
