// The journal's port to a disk: one flat folder of files. The disk's own errors pass through unchanged, so that the journal
// sees ENOSPC where the disk has no room. Writing is synchronous because a put must not be seen before it is written; only
// the wait for the disk itself is not.
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

export interface Folder {
  /** As its user knows it. */
  readonly path: string;
  names(): string[];
  read(name: string): Buffer;
  /** Opens a file for writing; `create` makes it, or empties the one that is there. */
  open(name: string, how: 'create' | 'go-on'): FolderFile;
  rename(from: string, to: string): void;
  remove(name: string): void;
  /** Returns when the disk holds what was made, renamed and removed. */
  syncNames(): void;
}

export interface FolderFile {
  /** Writes all of it at the offset, or throws. Then any part of it may be there. */
  write(bytes: Uint8Array, offset: number): void;
  /** Cuts the file off at `sizeBytes`. */
  truncate(sizeBytes: number): void;
  /** Resolves when the disk holds what was written before the call. */
  sync(): Promise<void>;
  syncNow(): void;
  /** Waits for a `sync` under way. Idempotent. */
  close(): void;
}

export function diskFolder(path: string): Folder {
  return {
    path,
    names: () => readdirSync(path),
    read: (name) => readFileSync(join(path, name)),
    open: (name, how) => new DiskFile(openSync(join(path, name), how === 'create' ? 'w' : 'r+')),
    rename: (from, to) => renameSync(join(path, from), join(path, to)),
    remove: (name) => unlinkSync(join(path, name)),
    syncNames: () => syncFolder(path),
  };
}

class DiskFile implements FolderFile {
  readonly #descriptor: number;
  #syncs = 0;
  #isClosing = false;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(bytes: Uint8Array, offset: number): void {
    // What goes into a file that has no name any more is lost although the disk takes it.
    if (fstatSync(this.#descriptor).nlink === 0) throw new Error('the file was removed under the running server');
    for (let written = 0; written < bytes.byteLength; ) {
      written += writeSync(this.#descriptor, bytes, written, bytes.byteLength - written, offset + written);
    }
  }

  truncate(sizeBytes: number): void {
    ftruncateSync(this.#descriptor, sizeBytes);
  }

  sync(): Promise<void> {
    this.#syncs++;
    return new Promise((resolve, reject) => {
      fdatasync(this.#descriptor, (error) => {
        this.#syncs--;
        this.#closeWhenIdle();
        if (error) reject(error);
        else resolve();
      });
    });
  }

  syncNow(): void {
    fdatasyncSync(this.#descriptor);
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#isClosing && this.#syncs === 0) closeSync(this.#descriptor);
  }
}

function syncFolder(path: string): void {
  // Windows opens no folders, and keeps its names without being asked.
  if (process.platform === 'win32') return;
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
