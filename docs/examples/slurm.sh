#!/bin/bash
# One run on 2 machines of 4 GPUs each: plain torchrun, once per machine.
#   sbatch docs/examples/slurm.sh
# When a machine fails, or the job has to make room for another, SLURM queues it again and it goes on from the last
# checkpoint. After the time limit:  NAME=the_same sbatch docs/examples/slurm.sh
#SBATCH --job-name=sparring
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

RUNS="${RUNS:-$HOME/runs}"   # seen by all machines
DATA="${DATA:-$HOME/shards}" # a folder of pictures, or what `sparring data shard` made; or https://...
NAME="${NAME:-sparring-$SLURM_JOB_ID}"

if [ -f "$RUNS/$NAME/config.json" ]; then
  WORDS=(resume "$RUNS/$NAME")
else
  WORDS=(train r3 --data "$DATA" --size 64 --runs "$RUNS" --name "$NAME")
fi
HEAD="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"

export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 # else restarts meet at the addresses of the dead
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 4 --max-restarts 3 \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$HEAD:29500" \
  -m sparring "${WORDS[@]}"
