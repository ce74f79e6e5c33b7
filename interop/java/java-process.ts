// A running Java program of ours, built when it is not yet: the one place that knows how a JVM is started.
import { ChildProgram, type ChildStart } from '../child-program.ts';
import { buildJava, type JavaProgram } from './build.ts';

export interface JavaStart extends Omit<ChildStart, 'name'> {
  readonly program: JavaProgram;
  readonly mainClass: string;
  readonly systemProperties?: Readonly<Record<string, string>>;
  /** Of the JVM. Default: those below. */
  readonly flags?: readonly string[];
}

/**
 * Two cores are shared by servers, clients and tests: compile fast rather than well, collect garbage without threads, and take released
 * jars for well-formed (verifying their classes is a fifth of what a DynamoDB Local costs to come up).
 */
const FRUGAL = [
  ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx384m'],
  ...['-XX:+UnlockDiagnosticVMOptions', '-XX:-BytecodeVerificationRemote'],
];

export async function startJava(options: JavaStart): Promise<ChildProgram> {
  const { program, mainClass, systemProperties = {}, flags = FRUGAL } = options;
  const classPath = await buildJava(program);
  const properties = Object.entries(systemProperties).map(([name, value]) => `-D${name}=${value}`);
  return new ChildProgram('java', [...flags, ...properties, '-cp', classPath, mainClass], {
    ...options,
    name: mainClass,
  });
}
