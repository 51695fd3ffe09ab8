import { useMutation, useQueryClient } from '@tanstack/react-query'
import { BellOff, Check } from 'lucide-react'
import { type Alert, standing } from '@/api/standing'
import { words } from '@/lib/format'
import { Button } from '@/ui/button'
import { Menu, MenuContent, MenuItem, MenuTrigger } from '@/ui/menu'
import { Ago, Badge, ErrorNotice } from '@/ui/pieces'

const silences = [
  { seconds: 3600, label: 'For an hour' },
  { seconds: 86400, label: 'For a day' },
  { seconds: 604800, label: 'For a week' },
]

/** Whether nobody is told of an alert for now. */
const muted = (a: Alert) => a.muted_until !== undefined && new Date(a.muted_until).getTime() > Date.now()

/** What is wrong, why, and what to do; who may looks after it or keeps it quiet. */
export function AlertList({ alerts, may }: { alerts: Alert[]; may: boolean }) {
  const client = useQueryClient()
  const act = useMutation({
    mutationFn: (what: () => Promise<Alert>) => what(),
    onSettled: () => client.invalidateQueries({ queryKey: ['status'] }),
  })
  return (
    <>
      {act.error && <ErrorNotice error={act.error} className="m-3" />}
      <ul aria-label="Alerts" className="divide-y divide-line">
        {alerts.map((a) => (
          <li key={a.id} className="flex flex-wrap items-start justify-between gap-x-4 gap-y-2 px-4 py-3">
            <div className="min-w-0 flex-1 basis-64">
              <p className="flex flex-wrap items-center gap-2">
                <Badge tone={a.severity === 'critical' ? 'production' : 'warn'}>{a.severity}</Badge>
                <span className="font-medium">{words(a.condition)}</span>
                {a.place && <span className="text-muted">{a.place}</span>}
                <Ago at={a.fired_at} className="text-faint text-xs" />
                {a.acknowledged_at && <Badge>{a.acknowledged_by?.replace(/^token /, '')} looks after it</Badge>}
                {muted(a) && <Badge>quiet</Badge>}
              </p>
              <p className="mt-1">{a.message}</p>
              {a.hint && <p className="text-muted text-sm">{a.hint}</p>}
            </div>
            {may && (
              <div className="flex gap-2">
                {!a.acknowledged_at && (
                  <Button size="sm" onClick={() => act.mutate(() => standing.acknowledge(a))}>
                    <Check /> I look after it
                  </Button>
                )}
                {muted(a) ? (
                  <Button size="sm" onClick={() => act.mutate(() => standing.mute(a, 0))}>
                    Quiet no more
                  </Button>
                ) : (
                  <Menu>
                    <MenuTrigger asChild>
                      <Button size="sm" aria-label={`Keep quiet: ${words(a.condition)}`}>
                        <BellOff /> Quiet
                      </Button>
                    </MenuTrigger>
                    <MenuContent align="end">
                      {silences.map((s) => (
                        <MenuItem key={s.seconds} onSelect={() => act.mutate(() => standing.mute(a, s.seconds))}>
                          {s.label}
                        </MenuItem>
                      ))}
                    </MenuContent>
                  </Menu>
                )}
              </div>
            )}
          </li>
        ))}
      </ul>
    </>
  )
}
