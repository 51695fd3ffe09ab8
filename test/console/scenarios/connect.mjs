// The sheet to connect: covered, shown, copied for every tool, and the password rotated.
export default async function ({ open, check, clipboard }) {
  const page = await open()
  await page.goto('/projects/shop')
  await page.getByRole('heading', { name: /^development$/i }).waitFor()
  await page.keyboard.press('c')
  const sheet = page.getByRole('dialog', { name: /Connect to shop/ })
  await sheet.getByRole('button', { name: 'Copy the password' }).click()
  const password = await clipboard(page)
  check(password.length > 20, 'no password was copied')
  check(!(await page.content()).includes(password), 'the password is in the page while it is covered')
  await sheet.getByRole('button', { name: 'Show the password' }).click()
  await sheet.getByTestId('password').getByText(password, { exact: true }).waitFor()
  await sheet.getByRole('button', { name: 'Hide the password' }).click()

  const copied = {}
  for (const name of ['psql', 'URL', '.env', 'Node', 'Go', 'Python', 'Drizzle', 'JDBC']) {
    await sheet.getByRole('tab', { name, exact: true }).click()
    await sheet.getByRole('button', { name: `Copy for ${name}`, exact: true }).click()
    copied[name] = await clipboard(page)
    check(copied[name].length > 40, `nothing was copied for ${name}`)
  }
  check(copied.psql.startsWith("psql 'postgres"), `for psql was copied ${copied.psql.slice(0, 20)}`)
  check(copied['.env'].includes(`PGPASSWORD=${password}`), 'the .env has no password')

  await sheet.getByRole('button', { name: 'Rotate the password' }).click()
  await page.getByRole('dialog', { name: /new password/ }).getByRole('button', { name: 'Rotate the password' }).click()
  await page.getByText('The password is a new one').waitFor()
  await sheet.getByRole('tab', { name: 'URL', exact: true }).click()
  await sheet.getByRole('button', { name: 'Copy for URL', exact: true }).click()
  const url = await clipboard(page)
  check(!url.includes(password), 'the sheet still has the old password')
  return { before: copied.URL, url, env: copied['.env'] }
}
