// The errors' own pages: each reaches a client of the SDK as the class that it has for it, with AWS's status. Those that only keys of KMS,
// permissions or a failing service bring about are brought about by faults here; all others have their tests at their operations.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { specScene } from './spec-scene.ts';

const scene = specScene();

type Exception = new (...args: never[]) => kinesis.KinesisServiceException;

/** All that the SDK knows, by name. */
const exceptions = Object.entries<unknown>(kinesis).filter(
  (entry): entry is [string, Exception] =>
    typeof entry[1] === 'function' && entry[1].prototype instanceof kinesis.KinesisServiceException,
);

test('there are 17 of them', () => {
  expect(exceptions).toHaveLength(17);
});

test.each(exceptions)('%s is raised as the class of its name', async (type, exception) => {
  using _ = scene.local.faults.add({ kind: 'error', type, message: 'what went wrong' });
  const error = await scene.put('x').then(
    () => undefined,
    (refusal: unknown) => refusal,
  );
  expect(error).toBeInstanceOf(exception);
  // "(client fault)" is a 400, "(server fault)" a 500.
  const isFaultOfClient = error instanceof kinesis.KinesisServiceException && error.$fault === 'client';
  expect(error).toMatchObject({
    name: type,
    message: 'what went wrong',
    $metadata: { httpStatusCode: isFaultOfClient ? 400 : 500 },
  });
});
