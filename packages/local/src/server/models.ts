// The streams of every account and region that somebody calls from: a model for each, made by the first request. Which one a
// request means is told by its signature's scope, or by the ARN in it. Two of them share nothing but the clock.
import type { FileJournal } from '../journal/file-journal.ts';
import { KinesisModel, type KinesisModelOptions, type RestoredModel } from '../model/index.ts';
import type { Caller } from './caller.ts';
import { WireError } from './wire-error.ts';

/** More than anybody has; a client that makes new ones without end is stopped. */
const MAX_MODELS = 1_000;

export class Models {
  readonly #options: KinesisModelOptions;
  readonly #onNew: (model: KinesisModel) => void;
  readonly #journal: FileJournal | undefined;
  readonly #models: Map<string, { readonly caller: Caller; readonly model: KinesisModel }> = new Map();

  /** `onNew` sees each model before its first request does. What they do is told to the journal, if there is one. */
  constructor(options: KinesisModelOptions, onNew: (model: KinesisModel) => void, journal?: FileJournal) {
    this.#options = options;
    this.#onNew = onNew;
    this.#journal = journal;
  }

  /** Makes the models that an earlier server left. To be called first. @throws OperatingError DATA_DAMAGED, DATA_UNAVAILABLE */
  restore(restored: ReadonlyMap<string, RestoredModel>): void {
    for (const [place, state] of restored) {
      const [accountId = '', region = ''] = place.split('/');
      this.#add({ accountId, region }, state);
    }
    for (const model of this.all()) this.#onNew(model);
  }

  /** @throws WireError LimitExceededException when there are too many */
  of(caller: Caller): KinesisModel {
    const held = this.#models.get(keyOf(caller));
    if (held !== undefined) return held.model;
    if (this.#models.size >= MAX_MODELS) {
      throw new WireError(
        'LimitExceededException',
        `Requests came from ${MAX_MODELS} accounts and regions already; the local Kinesis keeps no more.`,
      );
    }
    const model = this.#add(caller);
    try {
      this.#onNew(model);
    } catch (error) {
      this.#models.delete(keyOf(caller));
      throw error;
    }
    return model;
  }

  /** The one that is there already, if any: for looking, where no request makes one. */
  peek(caller: Caller): KinesisModel | undefined {
    return this.#models.get(keyOf(caller))?.model;
  }

  entries(): { readonly caller: Caller; readonly model: KinesisModel }[] {
    return [...this.#models.values()];
  }

  all(): KinesisModel[] {
    return [...this.#models.values()].map(({ model }) => model);
  }

  #add(caller: Caller, restored?: RestoredModel): KinesisModel {
    const key = keyOf(caller);
    const model = new KinesisModel({
      ...this.#options,
      accountId: caller.accountId,
      region: caller.region,
      tokenKey: `${this.#options.tokenKey}/${key}`,
      notFoundHint: (streamName, now) => this.#hint(streamName, caller, now),
      journal: this.#journal?.portFor(key),
      restored,
    });
    this.#models.set(key, { caller, model });
    this.#journal?.add(key, model);
    return model;
  }

  /** The likeliest reason of a stream that is missing: the two sides are set to different regions. */
  #hint(streamName: string, asker: Caller, now: number): string {
    for (const { caller, model } of this.#models.values()) {
      if (!model.has(streamName, now)) continue;
      return ` There is one in ${placeOf(caller)}; this request is for ${placeOf(asker)}.`;
    }
    return '';
  }
}

function keyOf({ accountId, region }: Caller): string {
  return `${accountId}/${region}`;
}

function placeOf({ accountId, region }: Caller): string {
  return `account ${accountId}, region ${region}`;
}
