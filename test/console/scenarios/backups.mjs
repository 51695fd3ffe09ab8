// A backup is made, looked into, downloaded and deleted.
export default async function ({ open, check }) {
  const page = await open({ expected: [403, 409, 412] })
  await page.goto('/admin/backups')
  await page.getByText('No backups yet').waitFor()
  await page.getByRole('button', { name: 'New backup' }).click()
  const dialog = page.getByRole('dialog', { name: 'New backup' })
  await dialog.getByRole('combobox', { name: 'Branch' }).click()
  await page.getByRole('option', { name: 'shop/development', exact: true }).click()
  await dialog.getByRole('button', { name: 'Back up' }).click()
  await page.getByRole('table', { name: 'Backups' }).getByText('Completed').waitFor({ timeout: 120_000 })
  await page.getByRole('button', { name: /^Look into/ }).click()
  await page.getByRole('grid', { name: 'Rows of the backup' }).getByRole('gridcell').first().waitFor()
  await page.getByRole('button', { name: 'Close' }).click()
  const arriving = page.waitForEvent('download')
  await page.getByRole('button', { name: /^Download/ }).click()
  check((await (await arriving).failure()) === null, 'the download failed')
  await page.getByRole('button', { name: /^Delete/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
  // The last good one of a branch is not deleted without force, and the reason is said.
  const kept = page.getByRole('dialog').getByRole('alert')
  await kept.or(page.getByText('No backups yet')).waitFor()
}
