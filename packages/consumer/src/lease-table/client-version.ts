// The protocol that a fleet speaks: the row `Migration3.0`, by which the workers of a fleet that came from the KCL 2.x agree
// when to stop taking leases by themselves and let a leader assign them. We speak the second one only.
import { CLIENT_VERSION_KEY, clientVersionItem } from './item.ts';
import { badFormat } from './opening.ts';
import type { Table } from './table.ts';

/** Says once that this fleet speaks the protocol of the KCL 3.x, or finds out that it doesn't. */
export async function joinFleet(states: Table, workerId: string, wallNow: number): Promise<void> {
  if (await states.put(clientVersionItem(workerId, wallNow))) return;
  const version = (await states.get(CLIENT_VERSION_KEY))?.['cv']?.S;
  if (version === 'CLIENT_VERSION_3X' || version === 'CLIENT_VERSION_3X_WITH_ROLLBACK') return;
  const expected = `a fleet that speaks the KCL's 3.x protocol (row ${CLIENT_VERSION_KEY}, cv CLIENT_VERSION_3X)`;
  throw badFormat(states, expected, version ?? 'no cv');
}
