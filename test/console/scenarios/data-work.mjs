// My data, at work: order by several columns, views that are kept, hidden columns, the row that a key points to, editors for the types,
// rows without a key, several rows deleted at once, files of rows, and the way back.
import { readFile } from 'node:fs/promises'

export default async function ({ open, check, until, clipboard, base, token }) {
  const sql = async (text) => {
    const response = await fetch(`${base}/api/v1/projects/shop/branches/development/sql`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ sql: text, write: true }),
    })
    const answer = await response.json()
    check(response.ok && !answer.error, JSON.stringify(answer))
    return answer.results
  }
  await sql(`CREATE SCHEMA work; CREATE TYPE work.state AS ENUM ('open', 'paid');
    CREATE TABLE work.people (id int PRIMARY KEY, name text); INSERT INTO work.people VALUES (7, 'Ann');
    CREATE TABLE work.orders (id int PRIMARY KEY, who int REFERENCES work.people, state work.state, yes boolean, tags text[], doc jsonb, at timestamptz, raw bytea);
    INSERT INTO work.orders SELECT n, 7, CASE WHEN n % 2 = 0 THEN 'open' ELSE 'paid' END::work.state, n = 1, '{a,NULL}', '{"n":1.10}', '2026-01-02 03:04:05.5+00', '\\x00ff' FROM generate_series(1, 6) n;
    CREATE TABLE work.heap (a int, b text); INSERT INTO work.heap VALUES (1, 'one'), (2, 'two'), (3, 'same'), (3, 'same')`)
  const page = await open({ expected: [409] })
  await page.goto('/projects/shop/branches/development/data')
  const choose = async (name) => {
    await page.getByRole('combobox', { name: 'Table' }).click()
    await page.getByRole('option', { name, exact: true }).click()
  }
  const cells = (column) =>
    page.getByRole('row').locator(`[role=gridcell][aria-colindex="${column}"]`).allInnerTexts()
  const menu = async (button, item) => {
    await page.getByRole('button', { name: button }).click()
    await page.getByRole('menuitem', { name: item, exact: true }).click()
  }

  await choose('work.orders')
  await page.getByRole('button', { name: 'Sort by state' }).click()
  await page.getByRole('button', { name: 'Sort by id', exact: true }).click({ modifiers: ['Shift'] })
  await page.getByRole('button', { name: 'Sort by id, ascending' }).click({ modifiers: ['Shift'] })
  await until('the rows are in the order of two columns', async () => (await cells(1)).join() === '6,4,2,5,3,1')

  await page.getByRole('button', { name: 'Columns' }).click()
  await page.getByRole('menuitem', { name: 'Hide raw' }).click()
  await page.keyboard.press('Escape')
  await page.getByRole('columnheader', { name: 'raw' }).waitFor({ state: 'detached' })
  await menu('Views', 'Keep this view…')
  const naming = page.getByRole('dialog', { name: 'Keep this view' })
  await naming.getByLabel('Name').fill('newest by state')
  await naming.getByRole('button', { name: 'Keep' }).click()
  await naming.waitFor({ state: 'detached' })
  await page.reload()
  await choose('work.orders')
  await page.getByRole('columnheader', { name: 'raw' }).waitFor()
  await menu('Views', 'newest by state')
  await page.getByRole('columnheader', { name: 'raw' }).waitFor({ state: 'detached' })
  await until('the view is that which was kept', async () => (await cells(1)).join() === '6,4,2,5,3,1')
  await menu('Views', 'Everything')
  await until('everything is shown', async () => (await cells(1)).join() === '1,2,3,4,5,6')

  const cell = (row, column) =>
    page.locator(`[role=row][aria-rowindex="${row + 1}"] [role=gridcell][aria-colindex="${column}"]`)
  await cell(1, 2).dblclick()
  await page.getByRole('region', { name: 'The row of work.people' }).getByText('Ann').waitFor()
  await page.keyboard.press('Escape')

  // One editor for each sort of value.
  await page.getByRole('button', { name: 'Edit', exact: true }).click()
  const edit = async (column, name, act) => {
    await cell(1, column).dblclick()
    const dialog = page.getByRole('dialog', { name })
    await act(dialog)
    await dialog.getByRole('button', { name: 'Set value' }).click()
    await dialog.waitFor({ state: 'detached' })
  }
  const pick = (label) => async (dialog) => {
    await dialog.getByRole('combobox', { name: 'Value' }).click()
    await page.getByRole('option', { name: label, exact: true }).click()
  }
  await edit(3, 'state', pick('open'))
  await edit(4, 'yes', pick('f'))
  await edit(5, 'tags', async (dialog) => {
    await dialog.getByRole('textbox', { name: 'Element 1' }).fill('a "b", c')
    await dialog.getByRole('button', { name: 'Add element' }).click()
  })
  await edit(6, 'doc', async (dialog) => {
    await dialog.getByRole('textbox', { name: 'Value' }).fill('{"n": 12345678901234567890.10')
    await dialog.getByText(/JSON/).waitFor()
    await dialog.getByRole('textbox', { name: 'Value' }).fill('{"n": 12345678901234567890.10}')
  })
  await edit(7, 'at', async (dialog) => {
    check((await dialog.getByRole('textbox', { name: 'Time' }).inputValue()).endsWith(':05.5'), 'the fraction is lost')
    await dialog.getByLabel('Date').fill('2026-07-01')
    await dialog.getByRole('textbox', { name: 'Time' }).fill('12:00:00.123456')
    await dialog.getByRole('textbox', { name: 'Zone' }).fill('Europe/Berlin')
  })
  await edit(8, 'raw', (dialog) =>
    dialog.locator('input[type=file]').setInputFiles({ name: 'x', mimeType: 'x/y', buffer: Buffer.from([1, 0, 254]) }),
  )
  await page.getByRole('checkbox', { name: 'Select row 3' }).click()
  await page.getByRole('checkbox', { name: 'Select row 5' }).click({ modifiers: ['Shift'] })
  await page.getByRole('button', { name: 'Delete selected' }).click()
  await page.getByRole('button', { name: 'Save 4 changes…' }).click()
  const saving = page.getByRole('dialog', { name: 'Save 4 changes?' })
  await page.getByTestId('save-sql').waitFor()
  await saving.getByRole('button', { name: 'Save', exact: true }).click()
  await saving.waitFor({ state: 'detached' })
  const wanted = `{"id":1,"who":7,"state":"open","yes":false,"tags":["a \\"b\\", c",null,""],"doc":{"n": 12345678901234567890.10},"at":"2026-07-01T10:00:00.123456+00:00","raw":"\\\\x0100fe"}`
  const rows = async () =>
    (await sql(`SET timezone = 'UTC'; SELECT string_agg(id::text, ',' ORDER BY id), (SELECT row_to_json(o)::text FROM work.orders o WHERE id = 1) FROM work.orders`))[1].rows[0]
  const [ids, first] = await rows()
  check(ids === '1,2,6', `left are ${ids}`)
  check(first === wanted, `saved was\n${first}\nwant\n${wanted}`)

  // The way back is a script that takes all of it back.
  await page.getByRole('button', { name: 'Copy the way back' }).click()
  await sql(await clipboard(page))
  check((await rows())[0] === '1,2,3,4,5,6', 'it was not taken back')
  check((await rows())[1].includes('"yes":true'), 'the boolean was not taken back')

  // Without a key the whole row tells it; rows that are the same cannot be told apart.
  await choose('work.heap')
  await page.getByRole('button', { name: 'Edit', exact: true }).click()
  await cell(2, 2).dblclick()
  await page.getByRole('textbox', { name: 'Value', exact: true }).fill('zwei')
  await page.getByRole('button', { name: 'Set value' }).click()
  await page.getByRole('button', { name: 'Save one change…' }).click()
  const one = page.getByRole('dialog', { name: 'Save one change?' })
  await page.getByTestId('save-sql').waitFor()
  await one.getByRole('button', { name: 'Save', exact: true }).click()
  await one.waitFor({ state: 'detached' })
  await page.getByRole('gridcell', { name: 'zwei', exact: true }).waitFor()
  await page.getByRole('checkbox', { name: 'Select row 3' }).click()
  await page.getByRole('button', { name: 'Delete selected' }).click()
  await page.getByRole('button', { name: 'Save one change…' }).click()
  await one.getByRole('alert').getByText('is there several times').waitFor()
  await one.getByRole('button', { name: 'Discard my changes and read again' }).click()

  // Files: the server writes them.
  const file = async (label, kind) => {
    await page.getByRole('button', { name: 'Export' }).click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('menu').locator('div', { hasText: label }).getByRole('menuitem', { name: kind }).first().click(),
    ])
    return { name: download.suggestedFilename(), content: await readFile(await download.path()) }
  }
  const csv = await file('All rows', 'CSV')
  check(csv.name === 'heap.csv' && csv.content.toString().startsWith('a,b\r\n1,one\r\n'), `the file is ${csv.content}`)
  check(csv.content.toString().includes('2,zwei'), `the file is ${csv.content}`)
  await page.getByRole('checkbox', { name: 'Select row 1' }).click()
  const json = JSON.parse((await file('The selected row', 'JSON')).content.toString())
  check(JSON.stringify(json) === '[{"a":"1","b":"one"}]', `selected were ${JSON.stringify(json)}`)
  const xlsx = await file('All rows', 'Excel (XLSX)')
  check(xlsx.name === 'heap.xlsx' && xlsx.content.subarray(0, 2).toString() === 'PK', 'the workbook is none')
}
