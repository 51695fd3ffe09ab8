// At the width of a phone no screen is wider than the screen, and everything can be reached.
export default async function ({ open, check, shots }) {
  for (const dark of [false, true]) {
    const page = await open({ phone: true, dark })
    const pages = {
      projects: ['/projects', 'shop'],
      project: ['/projects/shop', 'Lately'],
      branch: ['/projects/shop/branches/production', 'Identity'],
      settings: ['/projects/shop/branches/production/settings', 'PostgreSQL parameters'],
      history: ['/projects/shop/branches/development/history', 'Go back'],
      rescue: ['/projects/shop/branches/development/rescue', 'Bring single rows back'],
      monitoring: ['/projects/shop/branches/development/monitoring', 'Measured once a minute'],
      publishes: ['/projects/shop/publish', 'Plan a publish'],
      usage: ['/projects/shop/usage', 'This billing period'],
      alerts: ['/alerts', 'Notifications'],
      removed: ['/removed', 'What is no longer here'],
      structure: ['/projects/shop/branches/development/structure?table=%22public%22.%22startups%22', 'Columns'],
      jobs: ['/jobs', 'A job outlives this page'],
      activity: ['/activity', 'Who did what'],
      tokens: ['/tokens', 'first admin'],
      members: ['/projects/shop/members', 'Members'],
      people: ['/people', 'Invite'],
      server: ['/server', 'Known as'],
      new: ['/new-project', 'Begin with sample data'],
    }
    for (const [name, [path, text]] of Object.entries(pages)) {
      await page.goto(path)
      await page.getByRole('main').getByText(text).first().waitFor()
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      const wide = await page.evaluate(() =>
        [...document.querySelectorAll('main *')]
          .filter((el) => el.getBoundingClientRect().right > document.documentElement.clientWidth && !el.closest('.overflow-x-auto, .overflow-auto'))
          .map((el) => el.outerHTML.slice(0, 120))
          .slice(0, 5),
      )
      check(over <= 0, `${path} is ${over} pixels too wide:\n${wide.join('\n')}`)
      if (name === 'structure') {
        const type = await page.getByRole('cell', { name: 'integer', exact: true }).first().boundingBox()
        check(type.width > 120, `a type has ${type.width} pixels`)
      }
      const image = await page.screenshot({ path: shots && `${shots}/phone-${name}-${dark ? 'dark' : 'light'}.png` })
      check(image.length > 8000, `${path} looks empty`)
    }
    await page.getByRole('button', { name: 'Open the navigation' }).click()
    await page.getByRole('dialog', { name: 'Navigation' }).getByRole('link', { name: 'Jobs' }).click()
    await page.getByRole('heading', { name: 'Jobs', exact: true }).waitFor()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }
}
