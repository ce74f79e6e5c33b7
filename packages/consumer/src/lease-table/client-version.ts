// The protocol that a fleet speaks: the row `Migration3.0`, by which the workers of a fleet that came from the KCL 2.x agree
// when to stop taking leases by themselves and let a leader assign them. We speak the second one only.
import { CLIENT_VERSION_KEY, clientVersionItem, type Item } from './item.ts';
import type { Layout } from './layout.ts';
import { badFormat } from './opening.ts';
import type { Table } from './table.ts';

/** Says once that this fleet speaks the protocol of the KCL 3.x, or finds out that it doesn't. */
export async function joinFleet(leases: Table, layout: Layout, workerId: string, wallNow: number): Promise<void> {
  const row = await layout.getState(CLIENT_VERSION_KEY);
  if (row !== undefined) {
    checkVersion(leases, row);
    return;
  }
  if (await layout.putState(clientVersionItem(workerId, wallNow))) return;
  checkVersion(leases, await layout.getState(CLIENT_VERSION_KEY));
}

function checkVersion(leases: Table, row: Item | undefined): void {
  const version = row?.['cv']?.S;
  if (version === 'CLIENT_VERSION_3X' || version === 'CLIENT_VERSION_3X_WITH_ROLLBACK') return;
  const expected = `a fleet that speaks the KCL's 3.x protocol (row ${CLIENT_VERSION_KEY}, cv CLIENT_VERSION_3X)`;
  throw badFormat(leases, expected, version ?? 'no cv');
}
