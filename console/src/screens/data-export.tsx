import { ArrowDownToLine } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { data, type Format } from '@/api/data'
import { asProblem } from '@/api/problem'
import type { Where } from '@/api/sql'
import { Button } from '@/ui/button'
import { Menu, MenuContent, MenuItem, MenuLabel, MenuLine, MenuTrigger } from '@/ui/menu'

const formats: { format: Format; label: string }[] = [
  { format: 'csv', label: 'CSV' },
  { format: 'json', label: 'JSON' },
  { format: 'xlsx', label: 'Excel (XLSX)' },
]

export type Export = { label: string; sql: string }

/** Files of rows, which the server writes whatever their number. */
export function ExportMenu({ where, name, exports }: { where: Where; name: string; exports: Export[] }) {
  const [busy, setBusy] = useState(false)
  const save = async (sql: string, format: Format) => {
    setBusy(true)
    try {
      await data.download(where, sql, format, name)
    } catch (thrown) {
      const problem = asProblem(thrown)
      toast.error(problem.message, { description: problem.hint })
    } finally {
      setBusy(false)
    }
  }
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button size="sm" variant="ghost" busy={busy}>
          <ArrowDownToLine /> Export
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        {exports.map((e, i) => (
          <div key={e.label}>
            {i > 0 && <MenuLine />}
            <MenuLabel>{e.label}</MenuLabel>
            {formats.map((f) => (
              <MenuItem key={f.format} onSelect={() => save(e.sql, f.format)}>
                {f.label}
              </MenuItem>
            ))}
          </div>
        ))}
      </MenuContent>
    </Menu>
  )
}
