export { producerMistake, producerPlantedBugs } from './planted-bugs.ts';
export { simulateProducer } from './world.ts';
