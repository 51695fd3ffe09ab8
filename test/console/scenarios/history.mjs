// A moment is marked, picked to the second, looked at for as long as the page is open, shown as a plan and restored in place, then the
// restore is undone.
export default async function ({ base, token, open, check, until, shots }) {
  const call = async (method, path, body) => {
    const answer = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    check(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`)
    return answer.status === 204 ? null : answer.json()
  }
  const development = '/projects/shop/branches/development'
  const sql = async (text) => {
    const answer = await call('POST', `${development}/sql`, { sql: text, write: true })
    check(!answer.error, `${text}: ${JSON.stringify(answer.error)}`)
    return answer.results.at(-1)
  }
  await sql(`CREATE TABLE moments (id int PRIMARY KEY, note text, owner int);
    INSERT INTO moments VALUES (1, 'kept', 7), (2, 'lost', 7), (3, 'other', 8)`)

  const page = await open({ expected: [404, 409, 412, 422, 503] })
  await page.goto(`${development}/history`)
  await page.getByText(/^Every moment of the last/).waitFor()
  await page.getByRole('button', { name: 'Mark this moment' }).click()
  await page.getByRole('textbox', { name: 'Label' }).fill('before the test')
  await page.getByRole('button', { name: 'Mark', exact: true }).click()
  const row = page.getByRole('row').filter({ hasText: 'before the test' })
  await row.waitFor()

  // To the second, in the field, by steps and on the timeline; the zone is written out.
  const text = page.getByRole('textbox', { name: 'The moment' })
  await page.getByRole('button', { name: 'Choose a moment on the timeline' }).click({ position: { x: 300, y: 84 } })
  const zoned = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d$/
  const picked = await text.inputValue()
  check(zoned.test(picked), `the timeline chose ${picked}`)
  const field = page.getByLabel('Date and time')
  check((await field.inputValue()).replace('T', ' ') === picked.slice(0, 19), 'the field shows another moment')
  await page.getByRole('button', { name: '+1 s', exact: true }).click()
  check(Date.parse((await text.inputValue()).replace(' ', 'T').replace(' ', '')) - Date.parse(picked.replace(' ', 'T').replace(' ', '')) === 1000, 'a step is not a second')
  await page.getByText(/^In this browser’s zone: /).waitFor()
  await page.getByRole('combobox', { name: 'How much is shown' }).click()
  await page.getByRole('option', { name: '1 minute', exact: true }).click()

  await sql(`UPDATE moments SET note = 'changed' WHERE id = 1; DELETE FROM moments WHERE id = 2; INSERT INTO moments VALUES (4, 'new', 7);
    UPDATE moments SET note = 'meant' WHERE id = 3`)
  await row.getByRole('button', { name: 'Choose' }).click()
  await page.getByRole('button', { name: 'Show the plan' }).click()
  const plan = page.getByTestId('restore-plan')
  await plan.waitFor()
  check(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.test(await plan.innerText()), 'the plan names its moment')
  if (shots) await page.screenshot({ path: `${shots}/history.png`, fullPage: true })

  // The look: its rows, kept while the page is open, and the way back to the moment.
  await page.getByRole('button', { name: 'Look at it' }).click()
  await page.getByText(/^development as it was at/).waitFor({ timeout: 150_000 })
  const name = page.url().split('/').at(-2)
  await page.getByRole('combobox', { name: 'Table' }).click()
  await page.getByRole('option', { name: 'moments', exact: true }).click()
  await page.getByRole('gridcell', { name: 'lost' }).waitFor()
  let kept = 0
  page.on('response', (answer) => answer.url().endsWith(`/${name}/keep-look`) && answer.status() === 204 && kept++)
  await until('the look is kept', () => kept > 0)
  if (shots) await page.screenshot({ path: `${shots}/look.png`, fullPage: true })
  await page.getByRole('link', { name: 'Back to the history of development' }).click()
  await page.waitForURL(/history\?at=/)
  await plan.waitFor()
  await page.goto('/projects/shop/branches/development_at_20200101_000000_abcd/data')
  await page.getByText('This look is over').waitFor()

  // In place, and back.
  await page.goto(`${development}/history`)
  await row.getByRole('button', { name: 'Choose' }).click()
  await page.getByRole('button', { name: 'Show the plan' }).click()
  await page.getByRole('button', { name: 'Restore development…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Take development back?' })
  await dialog.getByRole('textbox').fill('development')
  await dialog.getByRole('button', { name: 'Restore', exact: true }).click()
  const job = page.getByRole('dialog', { name: 'Restoring development' })
  await job.getByText('Succeeded').waitFor({ timeout: 150_000 })
  await job.getByRole('button', { name: 'Close' }).last().click()
  check((await sql('SELECT note FROM moments WHERE id = 3')).rows[0][0] === 'other', 'the moment is not restored')
  await page.getByRole('link', { name: /^development_before_restore_/ }).last().waitFor()
  await page.getByRole('button', { name: 'Undo the newest restore…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Undo', exact: true }).click()
  await page.getByRole('dialog', { name: 'Undoing the restore' }).getByText('Succeeded').waitFor({ timeout: 150_000 })
  check((await sql('SELECT note FROM moments WHERE id = 3')).rows[0][0] === 'meant', 'the restore is not undone')
}
