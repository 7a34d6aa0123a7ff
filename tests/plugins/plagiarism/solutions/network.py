"""Passengers: a small network in PyTorch."""

import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self, inputs, hidden=64, dropout=0.3):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            nn.Linear(hidden // 2, 1),
        )

    def forward(self, batch):
        return self.layers(batch).squeeze(1)


def tensor_from(frame, mean=None, std=None):
    frame = frame[["Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked"]].copy()
    frame["Sex"] = (frame["Sex"] == "female").astype(float)
    frame = pd.get_dummies(frame, columns=["Embarked", "Pclass"], dtype=float)
    frame = frame.fillna(frame.median())
    if mean is None:
        mean, std = frame.mean(), frame.std()
    return torch.tensor(((frame - mean) / std).values, dtype=torch.float32), mean, std


train_frame = pd.read_csv("train.csv")
test_frame = pd.read_csv("test.csv")
inputs, mean, std = tensor_from(train_frame)
labels = torch.tensor(train_frame["Survived"].values, dtype=torch.float32)
loader = DataLoader(TensorDataset(inputs, labels), batch_size=32, shuffle=True)

net = Net(inputs.shape[1]).to(device)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)
loss_of = nn.BCEWithLogitsLoss()

for epoch in range(60):
    net.train()
    total = 0.0
    for batch, wanted in loader:
        optimizer.zero_grad()
        loss = loss_of(net(batch.to(device)), wanted.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(batch)
    scheduler.step()
    if epoch % 10 == 0:
        print(epoch, total / len(inputs))

net.eval()
with torch.no_grad():
    logits = net(tensor_from(test_frame, mean, std)[0].to(device))
out = test_frame[["PassengerId"]].assign(Survived=(logits.cpu() > 0).int().numpy())
out.to_csv("submission.csv", index=False)
