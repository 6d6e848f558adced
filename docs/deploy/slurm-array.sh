#!/bin/bash
# Workers of nas as a Slurm job array, one a GPU. Adapt what is marked, then: sbatch slurm-array.sh
#SBATCH --job-name=nas-worker
#SBATCH --array=0-15
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
# Ten minutes before the time is over this script gets SIGTERM, and passes it to the worker, which takes no more trials. What
# has not ended two minutes before the end is given back. Make the ten minutes longer than most trainings.
#SBATCH --signal=B:TERM@600

set -eu

# Adapt: the server, the file with the token (chmod 600), the command, the queue.
nas worker --nats nats://host:4222 --token-file "$HOME/.nas-token" \
    --name "slurm-$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID" --label "partition=${SLURM_JOB_PARTITION:-none}" \
    --slots 1 --drain-timeout 8m -- python3 train.py &

# The shell gets the signal and passes it on; then it waits again, as a signal ends the first wait.
worker=$!
trap 'kill -TERM "$worker"' TERM
wait "$worker" || true
wait "$worker"
