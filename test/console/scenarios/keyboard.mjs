// Everything with the keyboard; and what the page says while the server is away.
export default async function ({ open, check }) {
  const page = await open({ expected: ['offline'] })
  await page.goto('/projects')
  await page.getByRole('link', { name: 'shop' }).first().waitFor()
  await page.keyboard.press('Control+k')
  await page.getByPlaceholder('Find a project, a database, a command…').fill('shop production settings')
  await page.keyboard.press('Enter')
  await page.getByRole('textbox', { name: 'work_mem', exact: true }).waitFor()
  check(page.url().endsWith('/projects/shop/branches/production/settings'), `the palette led to ${page.url()}`)
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await page.getByRole('heading', { name: 'Activity' }).waitFor()
  await page.getByLabel('What').fill('g p') // what is typed is typed
  check(page.url().endsWith('/activity'), 'typing into a field moved the page')

  const theme = () => page.evaluate(() => document.documentElement.dataset.theme)
  await page.getByRole('heading', { name: 'Activity' }).click()
  await page.keyboard.press('t')
  check((await theme()) === 'dark', 'the theme did not change')
  await page.reload()
  check((await theme()) === 'dark', 'the theme was not kept')
  await page.keyboard.press('Tab')
  check(await page.getByRole('link', { name: 'Skip to the content' }).evaluate((el) => el === document.activeElement), 'the first stop is not the way past the navigation')

  await page.context().setOffline(true)
  await page.getByText('The server cannot be reached.').waitFor()
  await page.context().setOffline(false)
  await page.getByText('The server cannot be reached.').waitFor({ state: 'detached' })
}
