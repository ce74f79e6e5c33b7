// A folder in memory that remembers every step, so that a test can have what a process leaves behind that is killed at any
// byte, and what a disk holds after a loss of power: of what was not synced, any part.
import type { Folder, FolderFile } from '../src/journal/folder.ts';

type Step =
  | { readonly kind: 'write'; readonly file: number; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly kind: 'truncate'; readonly file: number; readonly sizeBytes: number }
  | { readonly kind: 'create'; readonly file: number; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly name: string };

/** What a loss of power takes: whether the sector of a write that was not synced, or a step on names, got through. */
export type GotThrough = (sector: number) => boolean;

const SECTOR_BYTES = 512;
const NOTHING = Buffer.from(new ArrayBuffer(0));

export class MemoryFolder implements Folder {
  readonly path = '/memory';
  /** Thrown by the next write after it has written this many bytes; stays until set to undefined. */
  failWritesAfterBytes: number | undefined;
  failCreate = false;
  failTruncate = false;
  failSync = false;
  readonly #steps: Step[] = [];
  /** How many of the steps on each file's content, and on names, are on the disk: those before this index. */
  readonly #syncedSteps: Map<number | 'names', number> = new Map();
  readonly #files: Map<number, Buffer> = new Map();
  readonly #names: Map<string, number> = new Map();
  #nextFile = 0;

  /** How many bytes and steps there were: the moments at which a process can be killed. */
  get moments(): number {
    return this.#steps.reduce((sum, step) => sum + momentsOf(step), 0);
  }

  /** The folder as a process leaves it that is killed at this moment. */
  killedAt(moment: number): MemoryFolder {
    const left = new MemoryFolder();
    for (const step of this.#steps) {
      if (moment <= 0) break;
      left.#apply(step.kind === 'write' ? { ...step, bytes: step.bytes.subarray(0, moment) } : step);
      moment -= momentsOf(step);
    }
    return left.asOnDisk();
  }

  /** The folder as a disk holds it that lost its power now. Names change in order; unsynced sectors do not. */
  withoutPower(gotThrough: GotThrough): MemoryFolder {
    const left = new MemoryFolder();
    let areNamesKept = true;
    for (const [index, step] of this.#steps.entries()) {
      const about = 'file' in step && step.kind !== 'create' ? step.file : 'names';
      const isSynced = index < (this.#syncedSteps.get(about) ?? 0);
      if (about === 'names') {
        areNamesKept &&= isSynced || gotThrough(index);
        // The file is there, whatever it is called.
        if (step.kind === 'create') left.#files.set(step.file, NOTHING);
        if (areNamesKept) left.#apply(step);
      } else if (isSynced) left.#apply(step);
      else if (step.kind === 'write') left.#applySectors(step, gotThrough);
      else if (gotThrough(index)) left.#apply(step);
    }
    return left.asOnDisk();
  }

  /** Flips one bit of a file. */
  flip(name: string, bit: number): void {
    const bytes = this.#content(name);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  }

  /** Puts other bytes in place of a file's content. */
  replace(name: string, bytes: Buffer): void {
    this.#files.set(this.#fileOf(name), bytes);
  }

  copy(): MemoryFolder {
    return this.killedAt(Number.POSITIVE_INFINITY);
  }

  names(): string[] {
    return [...this.#names.keys()];
  }

  read(name: string): Buffer {
    return Buffer.from(this.#content(name));
  }

  open(name: string, how: 'create' | 'go-on'): FolderFile {
    if (how === 'create' && this.failCreate) throw new Error('ENOSPC: no space left on device');
    if (how === 'create') this.#do({ kind: 'create', file: this.#nextFile++, name });
    const file = this.#fileOf(name);
    const synced = (upTo: number): void => {
      this.#syncedSteps.set(file, Math.max(upTo, this.#syncedSteps.get(file) ?? 0));
    };
    const refuseSync = (): void => {
      if (this.failSync) throw new Error('EIO: the disk failed');
    };
    return {
      write: (bytes, offset) => this.#write(file, bytes, offset),
      truncate: (sizeBytes) => {
        if (this.failTruncate) throw new Error('EIO: no truncation');
        this.#do({ kind: 'truncate', file, sizeBytes });
      },
      sync: async () => {
        const upTo = this.#steps.length;
        await Promise.resolve();
        refuseSync();
        synced(upTo);
      },
      syncNow: () => {
        refuseSync();
        synced(this.#steps.length);
      },
      close: () => undefined,
    };
  }

  rename(from: string, to: string): void {
    this.#do({ kind: 'rename', from, to });
  }

  remove(name: string): void {
    this.#do({ kind: 'remove', name });
  }

  syncNames(): void {
    this.#syncedSteps.set('names', this.#steps.length);
  }

  #write(file: number, bytes: Uint8Array, offset: number): void {
    const room = this.failWritesAfterBytes ?? bytes.length;
    const written = Buffer.from(bytes.subarray(0, room));
    if (written.length > 0) this.#do({ kind: 'write', file, bytes: written, offset });
    if (this.failWritesAfterBytes === undefined) return;
    this.failWritesAfterBytes = Math.max(0, room - bytes.length);
    if (written.length < bytes.length) throw new Error('ENOSPC: no space left on device');
  }

  #do(step: Step): void {
    this.#apply(step);
    this.#steps.push(step);
  }

  #apply(step: Step): void {
    switch (step.kind) {
      case 'create':
        this.#names.set(step.name, step.file);
        this.#files.set(step.file, NOTHING);
        break;
      case 'write':
        this.#files.set(step.file, withBytes(this.#files.get(step.file), step.bytes, step.offset));
        break;
      case 'truncate':
        this.#files.set(step.file, withSize(this.#files.get(step.file), step.sizeBytes));
        break;
      case 'rename':
        this.#names.set(step.to, this.#fileOf(step.from));
        this.#names.delete(step.from);
        break;
      case 'remove':
        this.#fileOf(step.name);
        this.#names.delete(step.name);
        break;
    }
  }

  #applySectors({ file, bytes, offset }: Step & { kind: 'write' }, gotThrough: GotThrough): void {
    for (let at = 0; at < bytes.length; ) {
      const sector = Math.floor((offset + at) / SECTOR_BYTES);
      const end = Math.min(bytes.length, (sector + 1) * SECTOR_BYTES - offset);
      if (gotThrough(sector)) this.#apply({ kind: 'write', file, bytes: bytes.subarray(at, end), offset: offset + at });
      at = end;
    }
  }

  /** With nothing but what is there, all of it on the disk. */
  private asOnDisk(): MemoryFolder {
    const folder = new MemoryFolder();
    for (const [name, file] of this.#names) {
      folder.#do({ kind: 'create', file: folder.#nextFile++, name });
      folder.#do({
        kind: 'write',
        file: folder.#fileOf(name),
        bytes: this.#files.get(file) ?? NOTHING,
        offset: 0,
      });
      folder.#syncedSteps.set(folder.#fileOf(name), folder.#steps.length);
    }
    folder.syncNames();
    return folder;
  }

  #fileOf(name: string): number {
    const file = this.#names.get(name);
    if (file === undefined) throw new Error(`ENOENT: no such file, ${name}`);
    return file;
  }

  #content(name: string): Buffer {
    return this.#files.get(this.#fileOf(name)) ?? NOTHING;
  }
}

function momentsOf(step: Step): number {
  return step.kind === 'write' ? step.bytes.length : 1;
}

/** May write into the memory behind `content`, which is the file's own. */
function withBytes(content: Buffer | undefined, bytes: Uint8Array, offset: number): Buffer {
  const larger = withSize(content, Math.max(content?.length ?? 0, offset + bytes.length));
  larger.set(bytes, offset);
  return larger;
}

function withSize(content: Buffer = NOTHING, sizeBytes: number): Buffer {
  const { buffer, byteOffset, length } = content;
  if (sizeBytes <= length) return content.subarray(0, sizeBytes);
  const roomBytes = buffer.byteLength - byteOffset;
  if (sizeBytes <= roomBytes) return Buffer.from(buffer, byteOffset, sizeBytes).fill(0, length);
  const sized = Buffer.from(new ArrayBuffer(2 * sizeBytes), 0, sizeBytes);
  content.copy(sized);
  return sized;
}
