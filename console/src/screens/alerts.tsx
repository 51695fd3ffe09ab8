import { useQuery } from '@tanstack/react-query'
import { BellRing } from 'lucide-react'
import { queries } from '@/api/queries'
import { statusQuery } from '@/api/standing'
import { Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { AlertList } from './alert-list'
import { Channels } from './channels'
import { PageHead } from './page'
import { Thresholds } from './thresholds'

/** What is wrong anywhere, and who is told. */
export function AlertsScreen() {
  const { data, error } = useQuery(statusQuery())
  const admin = useQuery(queries.server()).data?.you.admin === true
  return (
    <>
      <PageHead name="Alerts" title="Alerts" about="What is wrong now, in every project that you see." />
      <div className="flex flex-col gap-5">
        {error && <ErrorNotice error={error} />}
        {!data && !error && <Skeleton className="h-40" />}
        {data && (
          <Panel>
            <PanelHead title={data.alerts.length === 0 ? 'Nothing is firing' : `${data.alerts.length} firing`} />
            {data.alerts.length === 0 ? (
              <Empty icon={BellRing} title="All is well">
                Backups, history, disk, locks, certificates and more are looked after all the time.
              </Empty>
            ) : (
              <AlertList alerts={data.alerts} may={admin} />
            )}
          </Panel>
        )}
        {admin && <Channels />}
        {admin && <Thresholds />}
      </div>
    </>
  )
}
