// Single rows come back as they were at a moment, and everything else stays as it is.
export default async function ({ base, token, open, check, shots }) {
  const call = async (method, path, body) => {
    const answer = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    check(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`)
    return answer.json()
  }
  const development = '/projects/shop/branches/development'
  const sql = async (text) => {
    const answer = await call('POST', `${development}/sql`, { sql: text, write: true })
    check(!answer.error, `${text}: ${JSON.stringify(answer.error)}`)
    return answer.results.at(-1)
  }
  await sql(`CREATE TABLE rescued (id int PRIMARY KEY, note text, owner int);
    INSERT INTO rescued VALUES (1, 'kept', 7), (2, 'lost', 7), (3, 'other', 8)`)
  const point = await call('POST', `${development}/checkpoints`, { label: 'before the accident' })
  await sql(`UPDATE rescued SET note = 'changed' WHERE id = 1; DELETE FROM rescued WHERE id = 2; INSERT INTO rescued VALUES (4, 'new', 7);
    UPDATE rescued SET note = 'meant' WHERE id = 3`)

  const page = await open({ expected: [404, 503] })
  await page.goto(`${development}/rescue?at=checkpoint:${point.id}`)
  await page.getByRole('combobox', { name: 'Table' }).click()
  await page.getByRole('option', { name: 'rescued', exact: true }).click()
  await page.getByRole('textbox', { name: 'Which rows' }).fill('owner = 7')
  await page.getByRole('button', { name: 'Compare' }).click()
  await page.getByText('3 rows differ').waitFor({ timeout: 150_000 })
  await page.getByText('changed → kept').waitFor()
  await page.getByRole('button', { name: 'Show the SQL' }).click()
  await page.getByText('INSERT INTO').first().waitFor()
  if (shots) await page.screenshot({ path: `${shots}/rescue.png`, fullPage: true })
  await page.getByRole('button', { name: /^Bring them back/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Bring them back' }).click()
  const job = page.getByRole('dialog', { name: 'Bringing rows back' })
  await job.getByText('Succeeded').waitFor({ timeout: 150_000 })
  await job.getByRole('button', { name: 'Close' }).last().click()
  await page.getByText('No row differs').waitFor({ timeout: 60_000 })
  const after = (await sql('SELECT id, note FROM rescued ORDER BY id')).rows
  check(JSON.stringify(after) === '[["1","kept"],["2","lost"],["3","meant"]]', `the rows are ${JSON.stringify(after)}`)
}
