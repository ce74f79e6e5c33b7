// `node interop/dist/java/main.js`: builds every Java program that the tiers run, one after the other, before tiers that share them run
// side by side: Maven's own folder bears one that writes to it.
import { scenarios } from '../fleet/scenarios.ts';
import { buildJava, type JavaProgram } from './build.ts';

const ofFleets = scenarios.filter(({ inTier }) => inTier).flatMap(({ programs }) => programs);
const programs: readonly JavaProgram[] = ['dynamodb-local', 'event-ruler', 'kcl', 'kpl', ...ofFleets];

for (const program of new Set(programs)) {
  await buildJava(program);
  console.log(`${program} is built`);
}
