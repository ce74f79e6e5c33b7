// From the name of a folder to a journal that goes on in it: makes the folder, takes it, reads it back, repairs its end. Nothing
// in it is changed before all of it was found sound.
import { randomUUID } from 'node:crypto';
import { isShardlineError, type Logger } from '@shardline/common/base';
import type { RestoredModel } from '../model/index.ts';
import type { Place } from './control-payload.ts';
import { unavailable } from './data-errors.ts';
import { FileJournal, type FileJournalOptions, type Fsync } from './file-journal.ts';
import { diskFolder, type Folder } from './folder.ts';
import { takeFolder } from './folder-lock.ts';
import { recover } from './recovery.ts';
import { segmentNumber } from './segment.ts';
import { UNFINISHED_NAME } from './segment-writer.ts';

export interface JournalFolderOptions {
  readonly path: string;
  readonly fsync: Fsync;
  readonly logger: Logger;
}

export interface OpenedJournal {
  readonly journal: FileJournal;
  readonly tokenKey: string;
  /** What the models of these places begin with. */
  readonly models: ReadonlyMap<Place, RestoredModel>;
  /** Brings everything to the disk and gives the folder back. */
  close(): Promise<void>;
}

const SEGMENT_BYTES = 64 * 1024 * 1024;

/** @throws UsageError dataFolder, OperatingError DATA_IN_USE, DATA_DAMAGED, DATA_VERSION, DATA_UNAVAILABLE */
export function openJournalFolder({ path, fsync, logger }: JournalFolderOptions): OpenedJournal {
  const release = takeFolder(path);
  try {
    const { journal, ...rest } = openJournal(diskFolder(path), { fsync, logger, segmentBytes: SEGMENT_BYTES });
    const close = async (): Promise<void> => {
      try {
        await journal.close();
      } finally {
        release();
      }
    };
    return { journal, ...rest, close };
  } catch (error) {
    release();
    throw isShardlineError(error) ? error : unavailable(path, error);
  }
}

/** @throws OperatingError DATA_DAMAGED, DATA_VERSION, what the disk throws */
export function openJournal(
  folder: Folder,
  options: Omit<FileJournalOptions, 'folder' | 'tokenKey'>,
): Omit<OpenedJournal, 'close'> {
  const found = recover(folder, options.logger);
  if (found === undefined) {
    const tokenKey = randomUUID();
    return { journal: new FileJournal({ folder, ...options, tokenKey }), tokenKey, models: new Map() };
  }
  const { tokenKey, models, sealed, last } = found;
  deleteLeftovers(folder, new Set([...sealed, last.segment].map(({ name }) => name)));
  const journal = new FileJournal({ folder, ...options, tokenKey }, { sealed, last, places: models.keys() });
  return { journal, tokenKey, models };
}

/** Segments whose deletion a stop cut short, and one that was never finished. */
function deleteLeftovers(folder: Folder, needed: ReadonlySet<string>): void {
  for (const name of folder.names()) {
    const isLeftOver = name === UNFINISHED_NAME || (segmentNumber(name) !== undefined && !needed.has(name));
    if (isLeftOver) folder.remove(name);
  }
}
