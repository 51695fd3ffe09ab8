import { useNavigate } from '@tanstack/react-router'
import { Blocks, Ellipsis, Moon, RotateCw, SlidersHorizontal, Sun } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { asProblem, Problem } from '@/api/problem'
import { useBranchAction } from '@/api/queries'
import type { Branch } from '@/api/types'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Menu, MenuContent, MenuItem, MenuLine, MenuTrigger } from '@/ui/menu'

function people(n: number): string {
  return n === 1 ? 'One session' : `${n} sessions`
}

/** Wake, sleep and restart of a branch, with the questions that come before them. */
export function useBranchActions(branch: Branch) {
  const action = useBranchAction(branch)
  const [asking, ask] = useState<'sleep' | 'force-sleep' | 'restart' | null>(null)
  const production = branch.environment === 'production'
  const name = `${branch.project}/${branch.name}`

  const wake = () =>
    action.mutate('wake', {
      onError: (error) => {
        const problem = asProblem(error)
        toast.error(`${name} did not wake`, {
          description: [problem.message, problem.hint].filter(Boolean).join(' — '),
        })
      },
    })
  const sleep = async () => {
    try {
      await action.mutateAsync('sleep')
    } catch (thrown) {
      if (!(thrown instanceof Problem) || thrown.code !== 'busy') throw thrown
      // Somebody works in it. That is another question, and another dialog.
      ask('force-sleep')
    }
  }

  const dialogs = (
    <>
      <Confirm
        open={asking === 'sleep'}
        onOpenChange={(open) => !open && ask((now) => (now === 'sleep' ? null : now))}
        title={`Put ${name} to sleep?`}
        action="Put to sleep"
        production={production}
        onConfirm={sleep}
      >
        {branch.sessions > 0
          ? `${people(branch.sessions)} will be disconnected. The next connection wakes it again.`
          : 'Nobody is connected. The next connection wakes it again.'}
      </Confirm>
      <Confirm
        open={asking === 'force-sleep'}
        onOpenChange={(open) => !open && ask(null)}
        title={`Somebody works in ${name}`}
        action="End the work and sleep"
        danger
        production={production}
        onConfirm={() => action.mutateAsync('force-sleep')}
      >
        A query runs or a transaction is open. Putting it to sleep now ends them; what was not committed is lost.
      </Confirm>
      <Confirm
        open={asking === 'restart'}
        onOpenChange={(open) => !open && ask(null)}
        title={`Restart ${name}?`}
        action="Restart"
        production={production}
        onConfirm={() => action.mutateAsync('restart')}
      >
        {branch.sessions > 0
          ? `${people(branch.sessions)} will be disconnected, and what they have not committed is lost. It is back in about a second.`
          : 'Nobody is connected. It is back in about a second.'}
      </Confirm>
    </>
  )
  return { ask, wake, dialogs, pending: action.isPending ? action.variables : null }
}

export function BranchActions({ branch, withLinks = true }: { branch: Branch; withLinks?: boolean }) {
  const { ask, wake, dialogs, pending } = useBranchActions(branch)
  const navigate = useNavigate()
  const up = branch.activity === 'awake' || branch.activity === 'waking'
  const params = { project: branch.project, branch: branch.name }
  return (
    <>
      {up ? (
        <Button onClick={() => ask('sleep')} disabled={branch.activity === 'waking'} busy={pending === 'wake'}>
          <Moon /> Sleep
        </Button>
      ) : (
        <Button onClick={wake} busy={pending === 'wake'} disabled={pending !== null && pending !== 'wake'}>
          <Sun /> Wake
        </Button>
      )}
      <Menu>
        <MenuTrigger asChild>
          <Button variant="ghost" size="icon" aria-label={`More for ${branch.name}`}>
            <Ellipsis />
          </Button>
        </MenuTrigger>
        <MenuContent align="start">
          <MenuItem onSelect={() => ask('restart')}>
            <RotateCw /> Restart…
          </MenuItem>
          {withLinks && (
            <>
              <MenuLine />
              <MenuItem onSelect={() => navigate({ to: '/projects/$project/branches/$branch/settings', params })}>
                <SlidersHorizontal /> Settings
              </MenuItem>
              <MenuItem onSelect={() => navigate({ to: '/projects/$project/branches/$branch/extensions', params })}>
                <Blocks /> Extensions
              </MenuItem>
            </>
          )}
        </MenuContent>
      </Menu>
      {dialogs}
    </>
  )
}
