// Writes one segment: whole entries, one after the other. What a failed write left behind is cut off before the next one, so
// the file never holds anything between two entries. Knows how much of it the disk holds for certain.
import { ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES, sealEntry, segmentHeader } from './entry.ts';
import type { Folder, FolderFile } from './folder.ts';
import { Segment, segmentName } from './segment.ts';

/** Until a segment has its first entry it goes by this name: one that was never finished is not taken for a segment. */
export const UNFINISHED_NAME = 'journal-new';

export class SegmentWriter {
  readonly segment: Segment;
  readonly #salt: number;
  readonly #file: FolderFile;
  /** Whether the disk is ever asked; else the order of the writes is all there is. */
  readonly #isSynced: boolean;
  #safeBytes = 0;
  #isTorn = false;

  private constructor(segment: Segment, salt: number, file: FolderFile, isSynced: boolean) {
    this.segment = segment;
    this.#salt = salt;
    this.#file = file;
    this.#isSynced = isSynced;
  }

  /** Makes a segment that begins with this entry. Nothing is left behind when it throws, or what `recover` passes over. */
  static create(folder: Folder, number: number, salt: number, entry: Buffer, isSynced: boolean): SegmentWriter {
    const file = folder.open(UNFINISHED_NAME, 'create');
    try {
      const writer = new SegmentWriter(new Segment(number), salt, file, isSynced);
      file.write(segmentHeader({ number, salt }), 0);
      writer.segment.sizeBytes = SEGMENT_HEADER_BYTES;
      writer.append(entry);
      if (isSynced) writer.syncNow();
      folder.rename(UNFINISHED_NAME, segmentName(number));
      if (isSynced) folder.syncNames();
      return writer;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Goes on with a segment that was read back; what follows its whole entries is cut off. */
  static goOn(folder: Folder, segment: Segment, salt: number, isSynced: boolean): SegmentWriter {
    const file = folder.open(segment.name, 'go-on');
    const writer = new SegmentWriter(segment, salt, file, isSynced);
    file.truncate(segment.sizeBytes);
    // What a killed process left may be in the system's memory alone.
    if (isSynced) writer.syncNow();
    return writer;
  }

  /** Writes an entry; its first 16 bytes are free for the entry's header. Returns where it stands. @throws what the disk throws */
  append(entry: Buffer): void {
    const offset = this.segment.sizeBytes;
    if (this.#isTorn) this.#file.truncate(offset);
    this.#isTorn = true;
    sealEntry(entry, this.#salt, offset, this.#isSynced ? this.#safeBytes : offset);
    this.#file.write(entry, offset);
    this.#isTorn = false;
    this.segment.sizeBytes = offset + entry.length;
  }

  async sync(): Promise<void> {
    const { sizeBytes } = this.segment;
    await this.#file.sync();
    this.#safeBytes = Math.max(this.#safeBytes, sizeBytes);
  }

  syncNow(): void {
    this.#file.syncNow();
    this.#safeBytes = this.segment.sizeBytes;
  }

  /** Cuts off what the last write left, if it failed. */
  close(): void {
    if (this.#isTorn) this.#file.truncate(this.segment.sizeBytes);
    this.#file.close();
  }
}

/** A buffer for `append`: the payload with the header's room before it. */
export function entryOf(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(ENTRY_HEADER_BYTES), payload]);
}
