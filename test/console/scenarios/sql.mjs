// SQL: exactly what is selected runs, each statement has its result, what destroys is asked for, production reads only, and a
// moment of the past can be asked.
const evil = `<img src=x onerror="window.pwned=1">`

export default async function ({ open, check, until }) {
  const page = await open({})
  await page.goto('/projects/shop/branches/development/sql')
  const editor = page.getByRole('textbox', { name: 'SQL for development' })
  const write = async (sql) => {
    await editor.click()
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.insertText(sql)
  }
  const run = page.getByRole('button', { name: 'Run', exact: true })
  const cell = (text) => page.getByRole('gridcell', { name: text, exact: true })

  await write(`SELECT 12345678901234567890.10 AS big; SELECT '${evil}' AS "${evil.replaceAll('"', '""')}", NULL AS nothing`)
  await run.click()
  await cell(evil).waitFor()
  await cell('NULL').waitFor()
  check((await page.getByRole('tab').allInnerTexts()).some((t) => t.includes('1 · SELECT 1')), 'each statement has a tab')
  await page.getByRole('tab', { name: '1 · SELECT 1' }).click()
  await cell('12345678901234567890.10').waitFor()
  check((await page.getByTestId('result-sql').innerText()).includes('AS big'), 'a result shows its statement')

  // Only the selection: the first line.
  await write('SELECT 41 AS one;\nSELECT 42 AS two;')
  await page.keyboard.press('ControlOrMeta+Home')
  await page.keyboard.press('Shift+End')
  await page.getByRole('button', { name: 'Run selection' }).waitFor()
  await page.keyboard.press('ControlOrMeta+Enter')
  await cell('41').waitFor()
  check((await cell('42').count()) === 0, 'more than the selection ran')

  await write('SELECT nonsense')
  await run.click()
  await page.getByRole('alert').getByText('column "nonsense" does not exist').waitFor()

  await write('CREATE TABLE IF NOT EXISTS console_sql (id int); INSERT INTO console_sql VALUES (1)')
  await run.click()
  await page.getByRole('tab', { name: '2 · INSERT 0 1' }).waitFor()

  const moment = await (async () => {
    await write('SELECT clock_timestamp()::text AS now')
    await run.click()
    const found = page.getByRole('gridcell').first()
    await page.getByRole('columnheader', { name: 'now' }).waitFor()
    return found.innerText()
  })()

  await write('DELETE FROM console_sql')
  await run.click()
  const question = page.getByRole('dialog', { name: 'This destroys something' })
  await question.getByText('it has no WHERE').waitFor()
  await question.getByRole('button', { name: 'Run it' }).click()
  await page.getByRole('tab', { name: 'DELETE 1' }).waitFor()

  await write('SELECT count(*) AS left_over FROM console_sql')
  await page.getByRole('button', { name: 'As of' }).click()
  await page.getByRole('textbox', { name: 'The moment' }).fill(moment)
  await run.click()
  await page.getByRole('columnheader', { name: 'left_over' }).waitFor({ timeout: 120_000 })
  await cell('1').waitFor()
  await page.getByRole('button', { name: 'As of' }).click()
  await run.click()
  await cell('0').waitFor()

  await page.getByRole('button', { name: 'Explain' }).click()
  await page.getByRole('menuitem', { name: 'Analyze' }).click()
  await page.getByRole('list', { name: 'Plan' }).getByText('Seq Scan on console_sql').waitFor()

  await write('SELECT pg_sleep(100)')
  await run.click()
  await page.getByRole('button', { name: 'Cancel', exact: true }).click()
  await page.getByRole('alert').getByText(/cancel(ing statement|ed)/).first().waitFor()

  // Names are completed from the schema; a query is kept on the server.
  await page.reload()
  await write('SELECT count(*) AS kept FROM console_s')
  const option = page.getByRole('option', { name: 'console_sql' })
  await until('the name is completed', async () => {
    // What is chosen at once after the list came up is taken for a slip.
    if ((await option.count()) === 0) await page.keyboard.press('Control+Space')
    else await option.click({ timeout: 1000 }).catch(() => {})
    return (await editor.innerText()).includes('console_sql')
  })
  await page.getByRole('button', { name: 'Saved' }).click()
  await page.getByRole('menuitem', { name: 'Keep this query…' }).click()
  const naming = page.getByRole('dialog', { name: 'Keep this query' })
  await naming.getByLabel('Name').fill(evil)
  await naming.getByRole('button', { name: 'Keep' }).click()
  await naming.waitFor({ state: 'detached' })
  const other = await open({})
  await other.goto('/projects/shop/branches/development/sql')
  await other.getByRole('textbox', { name: 'SQL for development' }).waitFor()
  await other.getByRole('button', { name: 'Saved' }).click()
  await other.getByRole('menuitem', { name: evil, exact: true }).click()
  await other.getByRole('textbox', { name: 'SQL for development' }).getByText('FROM console_sql').waitFor()
  await other.getByRole('button', { name: 'Run', exact: true }).click()
  await other.getByRole('columnheader', { name: 'kept' }).waitFor()
  await other.getByRole('button', { name: 'Saved' }).click()
  await other.getByRole('menuitem', { name: `Forget ${evil}` }).click()
  await other.getByRole('button', { name: 'Saved' }).click()
  await other.getByRole('menuitem', { name: evil, exact: true }).waitFor({ state: 'detached' })

  // What analyzing would change is refused.
  await write('WITH gone AS (DELETE FROM console_sql RETURNING *) SELECT * FROM gone')
  await page.getByRole('button', { name: 'Explain' }).click()
  await page.getByRole('menuitem', { name: 'Analyze' }).click()
  await page.getByRole('alert').getByText(/read-only transaction/).waitFor()

  await page.goto('/projects/shop/branches/production/sql')
  await page.getByRole('button', { name: 'Read-only' }).waitFor()
  const prod = page.getByRole('textbox', { name: 'SQL for production' })
  await prod.click()
  await page.keyboard.insertText('CREATE TABLE by_mistake (id int)')
  await run.click()
  await page.getByRole('alert').getByText(/read-only transaction/).waitFor()
  check((await page.evaluate(() => window.pwned)) === undefined, 'a script of the data ran')
}
