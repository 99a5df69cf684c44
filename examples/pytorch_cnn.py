"""A small convolutional network in PyTorch on scikit-learn's handwritten digits, with checkpoints, under ASHA.

The learning rate, the momentum and the network's width are tuned. A trial that is interrupted, by Ctrl-C or a crash,
goes on from its last epoch when the same command is run again.
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import tunesmith as tune


def network(width):
    """Return a network for 8x8 images."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8 * width, 10),
    )  # fmt: skip


def train(config, data, epochs):
    """Train; report the validation accuracy and a checkpoint after each epoch."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x_train, x_valid, y_train, y_valid = (torch.as_tensor(part, device=device) for part in data)
    model = network(config["width"]).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
    first = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["epoch"] + 1

    file = Path(tune.get_context().trial_folder, "model.pt")
    for epoch in range(first, epochs):
        model.train()
        for batch in torch.randperm(len(x_train), device=device).split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x_train[batch]), y_train[batch])
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(x_valid).argmax(dim=1) == y_valid).float().mean()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, file)
        tune.report({"accuracy": accuracy, "loss": loss.detach()}, checkpoint=file)


def main():
    """Tune, and load the best network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--storage", default="results")
    options = parser.parse_args()

    x, y = load_digits(return_X_y=True)
    images = (x / 16).astype("float32").reshape(-1, 1, 8, 8)
    data = train_test_split(images, y, test_size=0.3, random_state=0, stratify=y)

    results = tune.run(
        tune.with_parameters(train, data=data, epochs=options.epochs),
        space={
            "lr": tune.loguniform(1e-4, 1.0),
            "momentum": tune.uniform(0.0, 0.95),
            "width": tune.choice([4, 8, 16]),
        },
        metric="accuracy",
        mode="max",
        num_samples=options.samples,
        scheduler=tune.ASHAScheduler(max_t=options.epochs, grace_period=1, reduction_factor=3),
        resources={"cpu": 1, "gpu": 0.25} if torch.cuda.is_available() else {"cpu": 1},
        name="pytorch_cnn",
        storage_path=options.storage,
        resume="auto",
    )
    best = results.best
    model = network(best.config["width"])
    model.load_state_dict(torch.load(best.checkpoint, weights_only=True, map_location="cpu")["model"])
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"trial {best.id}: accuracy {best.metrics['accuracy']:.4f}, {weights} weights")


if __name__ == "__main__":
    main()
